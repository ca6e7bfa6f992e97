"""At which level a GGUF is: by what it says, or by what most of its weights are."""

from __future__ import annotations

from collections import Counter

from convert import bounds
from convert.gguf_header import Header
from convert.levels import LEVELS, UNQUANTIZED

KEY = "general.file_type"
FILE_TYPES = (0, 1 << 16)
PLAIN = {0: "f32", 1: "f16", 30: "bf16"}
SMALLEST_BLOCK = 32


def unblocked(header: Header, level: str) -> str:
    """What of a file is not at its level, as rows of a length that no block divides; or nothing."""
    if level in UNQUANTIZED:
        return ""
    matrices = [tensor for tensor in header.tensors if len(tensor.shape) > 1]
    kept = [t for t in matrices if t.shape[-1] % SMALLEST_BLOCK and t.type in PLAIN]
    if not kept:
        return ""
    rows = ", ".join(map(str, sorted({tensor.shape[-1] for tensor in kept})))
    kinds = " and ".join(sorted({PLAIN[tensor.type] for tensor in kept}))
    return f"{len(kept)} of {len(matrices)} matrices stay {kinds}: rows of {rows} fit no block"


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
    from convert.ggml import type_name

    counts: Counter[int] = Counter()
    for tensor in header.tensors:
        counts[tensor.type] += tensor.elements
    kind = max(counts, key=lambda each: counts[each], default=0)
    return PLAIN.get(kind) or type_name(kind).lower()
