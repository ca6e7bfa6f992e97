"""Ragged tokens of several branches as flat arrays, one entry a token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]


def flatten(
    slots: Sequence[int],
    starts: Sequence[int],
    tokens: Sequence[Sequence[int]],
    tails: Sequence[int],
) -> tuple[Ints, Ints, Ints, Ints]:
    """Parallel arrays (token, position, slot), and where the last `tails` of each branch stand."""
    if all(len(t) == tail == 1 for t, tail in zip(tokens, tails, strict=True)):
        single = np.array([t[0] for t in tokens], np.int32)
        return single, _ints(starts), _ints(slots), np.arange(len(tokens), dtype=np.int32)
    sizes = _ints([len(t) for t in tokens])
    ends = np.cumsum(sizes, dtype=np.int32)
    offsets = np.arange(ends[-1], dtype=np.int32) - np.repeat(ends - sizes, sizes)
    flat = np.concatenate([_ints(t) for t in tokens])
    last = _ints(np.concatenate([np.arange(e - n, e) for e, n in zip(ends, tails, strict=True)]))
    return (
        flat,
        np.repeat(_ints(starts), sizes) + offsets,
        np.repeat(_ints(slots), sizes),
        _ints(last),
    )


def _ints(values: Sequence[int] | npt.NDArray[np.integer]) -> Ints:
    return np.asarray(values, np.int32)
