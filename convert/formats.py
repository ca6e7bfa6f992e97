"""The formats that files are written in, and the levels of each by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from convert import levels, onnx_levels
from convert.levels import Level, UnknownLevel
from convert.onnx_levels import OnnxLevel

FileFormat = Literal["gguf", "onnx"]
AnyLevel = Level | OnnxLevel

FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
PARSERS: dict[FileFormat, Callable[[str], AnyLevel]] = {
    "gguf": levels.parse_level,
    "onnx": onnx_levels.parse_onnx_level,
}
NAMES: dict[FileFormat, Mapping[str, AnyLevel]] = {
    "gguf": levels.LEVELS,
    "onnx": onnx_levels.LEVELS,
}
DEFAULTS: dict[FileFormat, str] = {"gguf": "q4_k_m", "onnx": "int4"}


def parse(name: str, formats: Sequence[FileFormat] = FORMATS) -> AnyLevel:
    """The level of a name in one of the formats; a name that one of them owns is never an alias.

    Raises:
        UnknownLevel: for a name that none of them has.
    """
    plain = name.lower().replace("-", "_")
    owners = [f for f in formats if plain in NAMES[f]]
    for form in [*owners, *formats]:
        try:
            return PARSERS[form](name)
        except UnknownLevel:
            if len(formats) == 1:
                raise
    choices = "; ".join(f"for {f}: {', '.join(NAMES[f])}" for f in formats)
    raise UnknownLevel(f"unknown level {name!r}; choose {choices}")
