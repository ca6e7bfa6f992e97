"""A checkpoint folder as an unquantized GGUF, as `convert` would write it."""

from __future__ import annotations

from pathlib import Path

from convert.checkpoint import read_checkpoint
from convert.identity import identify
from convert.to_gguf import write_gguf


def export(folder: Path, out: Path, level: str = "f16") -> None:
    """Write `out` with the identity that the folder tells."""
    checkpoint = read_checkpoint(folder)
    write_gguf(checkpoint, identify(checkpoint), out, level, origin="test")
