"""Levels of ONNX files: how weights are stored, by names that pretend to be nobody else's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from convert.levels import UnknownLevel

BLOCKS = (16, 32, 64, 128, 256)  # weights that share a scale, as onnxruntime's kernel has them
BLOCK = 32
ALIASES = {"f32": "fp32", "f16": "fp16"}
PATTERN = re.compile(r"(int[48])(_asym)?(?:_b(\d+))?")


@dataclass(frozen=True, slots=True)
class OnnxLevel:
    """How the projections of a model are stored.

    `weight_bits` 32 and 16 are floats. 8 and 4 are integers times a float16 scale for every `block`
    weights of a row; an asymmetric level also stores where zero lies in each block.
    """

    name: str
    weight_bits: int
    block: int = 0
    symmetric: bool = True

    suffix: ClassVar[str] = ".onnx"
    title: ClassVar[str] = "how weights are stored"

    @property
    def quantized(self) -> bool:
        return self.weight_bits < 16

    @property
    def bits(self) -> float:
        """Bits per weight of a projection, scales and zero points included."""
        if not self.quantized:
            return float(self.weight_bits)
        return self.weight_bits + (16 + (0 if self.symmetric else self.weight_bits)) / self.block

    @property
    def note(self) -> str:
        """What the level is, for `--list`."""
        if not self.quantized:
            return f"{self.weight_bits}-bit floats"
        zero = "" if self.symmetric else " and a zero point"
        tables = "" if self.weight_bits == 8 else "; embeddings and output projection int8"
        return f"{self.weight_bits}-bit integers, a scale{zero} per {self.block} weights{tables}"

    @property
    def head(self) -> OnnxLevel:
        """The level of embeddings and output projection, which four bits would hurt most."""
        return EIGHT_BITS if self.quantized else self


EIGHT_BITS = OnnxLevel("int8", 8, BLOCK)
LEVELS: dict[str, OnnxLevel] = {
    level.name: level
    for level in (
        OnnxLevel("fp32", 32),
        OnnxLevel("fp16", 16),
        EIGHT_BITS,
        OnnxLevel("int8_b128", 8, 128),
        OnnxLevel("int4_asym", 4, BLOCK, symmetric=False),
        OnnxLevel("int4", 4, BLOCK),
        OnnxLevel("int4_b128", 4, 128),
    )
}


def parse_onnx_level(name: str) -> OnnxLevel:
    """The level of a name in any case, with `-` for `_`: `fp16`, `int4`, `int4_asym_b64`.

    Raises:
        UnknownLevel: for any other name.
    """
    plain = name.lower().replace("-", "_")
    plain = ALIASES.get(plain, plain)
    if plain in LEVELS:
        return LEVELS[plain]
    match = PATTERN.fullmatch(plain)
    block = int(match[3] or BLOCK) if match else 0
    if match is None or block not in BLOCKS:
        raise UnknownLevel(
            f"unknown level {name!r} for onnx; choose {', '.join(LEVELS)}, or another block: "
            f"int4_b64, int4_asym_b64 (b{', b'.join(map(str, BLOCKS))})"
        )
    suffix = "" if block == BLOCK else f"_b{block}"
    full = f"{match[1]}{match[2] or ''}{suffix}"
    return LEVELS.get(full) or OnnxLevel(full, int(match[1][3:]), block, match[2] is None)
