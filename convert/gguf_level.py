"""At which level a GGUF is: by what it says, or by what most of its weights are."""

from __future__ import annotations

from collections import Counter

from convert import bounds
from convert.block_sizes import BLOCKS
from convert.gguf_header import Header
from convert.levels import LEVELS, UNQUANTIZED
from convert.mixes import BASE

KEY = "general.file_type"
FILE_TYPES = (0, 1 << 16)


def unblocked(header: Header, level: str) -> str:
    """Which matrices of a file are not at its level, as their rows fit no block of it; or nothing.

    llama.cpp gives them a type of smaller blocks, or float16 where there is none.
    """
    if level in UNQUANTIZED or level not in BASE:
        return ""
    block, _ = BLOCKS[BASE[level]]
    matrices = [tensor for tensor in header.tensors if len(tensor.shape) > 1]
    odd = [tensor for tensor in matrices if tensor.shape[-1] % block]
    if not odd:
        return ""
    kinds = " and ".join(sorted({_type_name(tensor.type) for tensor in odd}))
    rows = ", ".join(map(str, sorted({tensor.shape[-1] for tensor in odd})))
    count = f"{len(odd)} of {len(matrices)}"
    return f"{count} matrices are {kinds}: rows of {rows} fit no block of {block}"


def level_of(header: Header) -> str:
    """The level by llama.cpp's name.

    A file that states none, or one unknown here, is named by the type of most weights: `q4_k`.

    Raises:
        Refusal: if what it states is no number.
    """
    stated = header.values.get(KEY)
    if stated is not None:
        bounds.integer(header.path, KEY, stated, FILE_TYPES)
        for level in LEVELS.values():
            if level.ftype == stated:
                return level.name
    counts: Counter[int] = Counter()
    for tensor in header.tensors:
        counts[tensor.type] += tensor.elements
    kind = max(counts, key=lambda each: counts[each], default=0)
    return _type_name(kind)


def _type_name(kind: int) -> str:
    """A ggml type as levels are written."""
    from convert.ggml import type_name  # loads llama.cpp

    return type_name(kind).lower()
