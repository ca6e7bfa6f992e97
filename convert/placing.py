"""Where every tensor of a GGUF will lie, and in which type, before one of them is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from convert.artifact import Shape
from convert.block_sizes import BLOCKS
from convert.ggml_rows import Floats, row_bytes
from convert.gguf_header import ALIGNMENT
from convert.imatrix import ImportanceMatrix
from convert.levels import UNQUANTIZED, Level
from convert.mapping import Mapped
from convert.mixes import (
    BASE,
    F16,
    F32,
    IQ1_M,
    IQ1_S,
    IQ2_S,
    IQ2_XS,
    IQ2_XXS,
    IQ3_XXS,
    Q1_0,
    Q2_K,
    Q8_0,
    TensorShape,
    tensor_types,
)
from convert.refusal import Refusal

NEEDY = (IQ3_XXS, IQ2_XXS, IQ2_XS, IQ2_S, IQ1_M, IQ1_S)  # types that need an importance matrix
TABLES = ("token_embd.weight", "output.weight")  # they need none at any level


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor in a file. `offset` counts from the first tensor's byte."""

    name: str
    shape: tuple[int, ...]
    kind: int  # ggml type
    offset: int
    size_bytes: int
    exact: bool  # holds the checkpoint's values, not those of the f16 file llama.cpp would be given
    importance: Floats | None  # (columns,)


def places(
    tensors: Sequence[Mapped],
    level: Level,
    shape: Shape,
    matrix: ImportanceMatrix | None,
    *,
    keep_embedding: bool = False,
) -> list[Place]:
    """The tensors of a level's file, in the file's order: llama.cpp's where it would quantize.

    Raises:
        Refusal: if llama.cpp has no type for a tensor, or the importance matrix does not fit.
    """
    exact = level.name in UNQUANTIZED
    types = _types(tensors, level, shape, matrix, keep_embedding=keep_embedding)
    found, at = [], 0
    for m in tensors if exact else sorted(tensors, key=_order):
        kind = types[m.name]
        size_bytes = m.rows * row_bytes(kind, m.columns)
        importance = None if exact or m.full else _importance(m, kind, level, matrix)
        found.append(Place(m.name, m.shape, kind, at, size_bytes, exact or m.full, importance))
        at += _aligned(size_bytes)
    return found


def file_bytes(found: Sequence[Place]) -> int:
    """Bytes of a file's tensors."""
    return max((_aligned(place.offset + place.size_bytes) for place in found), default=0)


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def _order(mapped: Mapped) -> tuple[int, str]:
    """llama.cpp's order: by layer, what belongs to none first, then by name."""
    layer = re.match(r"blk\.(\d+)\.", mapped.name)
    return (int(layer[1]) if layer else -1, mapped.name)


def _types(
    tensors: Sequence[Mapped],
    level: Level,
    shape: Shape,
    matrix: ImportanceMatrix | None,
    *,
    keep_embedding: bool,
) -> dict[str, int]:
    outline = [TensorShape(m.name, m.shape) for m in tensors]
    types = tensor_types(outline, level, shape, imatrix=matrix is not None)
    for m in tensors:
        if m.full:
            types[m.name] = F32
        elif keep_embedding and m.name == "token_embd.weight":
            types[m.name] = F16 if m.columns % BLOCKS[Q8_0][0] else Q8_0
        elif types[m.name] == F16 and BASE[level.name] == Q1_0:
            raise Refusal(
                f"{level.name} needs rows of a multiple of {BLOCKS[Q1_0][0]} weights, {m.name} has "
                f"{m.columns}; choose q2_0"
            )
    return types


def _importance(
    mapped: Mapped, kind: int, level: Level, matrix: ImportanceMatrix | None
) -> Floats | None:
    """What an importance matrix says of a tensor's columns; judged as llama.cpp judges it."""
    found = matrix.importance.get(mapped.name) if matrix else None
    if found is not None and found.size == mapped.columns:
        return found
    if found is not None and mapped.name != "token_embd.weight":
        raise Refusal(
            f"the importance matrix has {found.size} columns for {mapped.name}, which has "
            f"{mapped.columns}: it is of another model"
        )
    needs = kind in NEEDY or (kind == Q2_K and level.name == "q2_k_s")
    if needs and mapped.name not in TABLES:
        raise Refusal(
            f"the importance matrix says nothing of {mapped.name}, and {level.name} needs it"
        )
    return None
