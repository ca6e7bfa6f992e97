"""A sampler as one would first write it: all rows in one go, one row's token after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from runtime.engine import Logits, Sampling
from runtime.sampling import BLOCK, uniform

Drawn = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


def plain_draw(
    logits: Logits, sampling: Sampling, branches: Sequence[int], positions: Sequence[int]
) -> Drawn:
    """What `Sampler.draw` must give, to the bit."""
    count, vocab = logits.shape
    weights = np.zeros((count, -(-vocab // BLOCK) * BLOCK), np.float32)
    weights[:, :vocab] = np.exp(
        (logits - logits.max(axis=1, keepdims=True)) * np.float32(1 / (sampling.temperature or 1.0))
    )
    blocks = weights.reshape(count, -1, BLOCK) @ np.ones(BLOCK, np.float32)
    totals = blocks.sum(axis=1)
    if sampling.temperature == 0:
        tokens = [int(row.argmax()) for row in logits]
    else:
        u = uniform(sampling.seed, branches, positions)
        nucleus = sampling.top_p < 1
        tokens = [
            _nucleus(weights[n], totals[n], u[n], sampling.top_p)
            if nucleus
            else _any(weights[n], blocks[n], u[n])
            for n in range(count)
        ]
    return np.array(tokens), np.log(weights[np.arange(count), tokens] / totals)


def _any(weight: Logits, blocks: Logits, u: float) -> int:
    ends = np.cumsum(blocks, dtype=np.float64)
    target = u * ends[-1]
    block = int(np.searchsorted(ends, target, side="right"))
    inside = weight[block * BLOCK : (block + 1) * BLOCK]
    before = ends[block - 1] if block else 0.0
    within = np.cumsum(inside, dtype=np.float64)
    entry = int(np.searchsorted(within, target - before, side="right"))
    return block * BLOCK + (entry if entry < BLOCK else int(np.flatnonzero(inside)[-1]))


def _nucleus(weight: Logits, total: np.float32, u: float, top_p: float) -> int:
    order = np.argsort(-weight, kind="stable")
    cumulative = np.cumsum(weight[order], dtype=np.float64)
    size = int(np.searchsorted(cumulative, top_p * float(total))) + 1
    target = u * cumulative[size - 1]
    return int(order[min(int(np.searchsorted(cumulative[:size], target, "right")), size - 1)])
