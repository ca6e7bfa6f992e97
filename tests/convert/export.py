"""A checkpoint folder as an unquantized GGUF, as `convert` would write it."""

from __future__ import annotations

from pathlib import Path

from convert.checkpoint import read_checkpoint
from convert.identity import identify
from convert.levels import LEVELS
from convert.to_gguf import About, write_ggufs


def export(folder: Path, out: Path, level: str = "f16") -> None:
    """Write `out` with the identity that the folder tells."""
    checkpoint = read_checkpoint(folder)
    write_ggufs(checkpoint, {out: LEVELS[level]}, About(identify(checkpoint), "test"))
