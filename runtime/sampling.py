"""One vectorized sampler over (B, V) logits, the same for every engine.

The random number of a draw is a pure function of (seed, branch id, position): nothing is carried
from draw to draw, so a run repeats on any engine, and two quantization levels of one model see the
same numbers (common random numbers: differences come from the weights).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal
from runtime.engine import Logits, Sampling

BLOCK = 64  # vocabulary entries summed together before the inverse CDF looks inside
ONES = np.ones(BLOCK, np.float32)

Floats = npt.NDArray[np.float64]


def uniform(
    seeds: int | Sequence[int], branches: Sequence[int], positions: Sequence[int]
) -> Floats:
    """(B,) numbers in [0, 1): a hash of seed, branch id and position (splitmix64's finalizer)."""
    each = [seeds] * len(branches) if isinstance(seeds, int) else seeds
    key = np.array([seed & 0xFFFFFFFFFFFFFFFF for seed in each], np.uint64)
    for word in (np.asarray(branches, np.uint64), np.asarray(positions, np.uint64)):
        key = _mix(key ^ (word * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)))
    return np.asarray((key >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Sampler:
    """Temperature and nucleus sampling with exact log-probabilities; owns one work buffer."""

    def __init__(self) -> None:
        self._buffer = np.zeros((0, 0), np.float32)

    def draw(
        self,
        logits: Logits,
        sampling: Sampling,
        branches: Sequence[int],
        positions: Sequence[int],
        seeds: Sequence[int] | None = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """(B,) token ids and their log-probabilities from (B, V) logits, which stay unchanged.

        Rows of several trees may have a seed each.

        Temperature comes before the nucleus. Log-probabilities are of the tempered distribution
        before truncation; at temperature 0 they are of the untempered one.

        Raises:
            Refusal: if a row holds NaN or infinity, or no possible token.
        """
        weights = self._exponentials(logits, sampling.temperature or 1.0)
        blocks = weights.reshape(len(logits), -1, BLOCK) @ ONES  # (B, blocks): BLAS sums fastest
        totals = blocks.sum(axis=1)
        rows = np.arange(len(logits))
        if sampling.temperature == 0:
            tokens = logits.argmax(axis=1)
        else:
            u = uniform(sampling.seed if seeds is None else seeds, branches, positions)
            if sampling.top_p < 1:
                tokens = _nucleus(weights, totals, u, sampling.top_p)
            else:
                tokens = _inverse_cdf(weights, blocks, u)
        return tokens, np.log(weights[rows, tokens] / totals)

    def entropies(self, logits: Logits, sampling: Sampling) -> npt.NDArray[np.float32]:
        """(B,) entropies, in nats, of the distributions that were drawn from just now."""
        temperature = sampling.temperature or 1.0
        weights = self._buffer[: len(logits), : logits.shape[1]]
        finite = np.where(weights > 0, logits, 0)  # a token that cannot come is worth nothing
        totals = weights.sum(axis=1)
        means = np.einsum("bv,bv->b", weights, finite) / totals
        return np.asarray(np.log(totals) + (logits.max(axis=1) - means) / np.float32(temperature))

    def _exponentials(self, logits: Logits, temperature: float) -> Logits:
        """exp((logits - max) / temperature) in the buffer, padded with zeros to whole blocks."""
        count, vocab = logits.shape
        width = -(-vocab // BLOCK) * BLOCK
        if self._buffer.shape[0] < count or self._buffer.shape[1] != width:
            self._buffer = np.zeros((count, width), np.float32)
        view = self._buffer[:count, :vocab]
        peaks = logits.max(axis=1, keepdims=True)  # NaN where a row holds one
        if not all(map(math.isfinite, peaks.ravel().tolist())):
            raise _not_finite(peaks)
        np.subtract(logits, peaks, out=view)
        if temperature != 1.0:
            np.multiply(view, np.float32(1 / temperature), out=view)
        np.exp(view, out=view)
        return self._buffer[:count]


def _not_finite(peaks: Logits) -> Refusal:
    worst = float(peaks[~np.isfinite(peaks)][0])
    kind = "NaN" if math.isnan(worst) else "infinite" if worst > 0 else "only -infinite"
    return Refusal(
        f"the model gives {kind} logits: its weights are broken, or the library that computes them "
        "was built wrongly; profile doctor tells which"
    )


def _inverse_cdf(weights: Logits, blocks: Logits, u: Floats) -> npt.NDArray[np.int64]:
    """The first token whose cumulative weight exceeds u times the total, found by blocks."""
    ends = np.cumsum(blocks, axis=1, dtype=np.float64)
    tokens = np.empty(len(weights), np.int64)
    for row in range(len(weights)):
        target = u[row] * ends[row, -1]
        block = int(np.searchsorted(ends[row], target, side="right"))
        inside = weights[row, block * BLOCK : (block + 1) * BLOCK]
        before = ends[row, block - 1] if block else 0.0
        within = np.cumsum(inside, dtype=np.float64)
        entry = int(np.searchsorted(within, target - before, side="right"))
        if entry == BLOCK:  # the block's float32 sum was a rounding above its entries
            entry = int(np.flatnonzero(inside)[-1])
        tokens[row] = block * BLOCK + entry
    return tokens


def _nucleus(weights: Logits, totals: Logits, u: Floats, top_p: float) -> npt.NDArray[np.int64]:
    """Draws from the smallest set of most probable tokens that holds `top_p` of the weight."""
    tokens = np.empty(len(weights), np.int64)
    bounds = totals * np.float32((1 - top_p) / weights.shape[1])  # nothing below can be inside
    for row, (weight, bound) in enumerate(zip(weights, bounds, strict=True)):
        kept = np.flatnonzero(weight >= bound)
        order = kept[np.argsort(-weight[kept], kind="stable")]
        cumulative = np.cumsum(weight[order], dtype=np.float64)
        size = min(int(np.searchsorted(cumulative, top_p * float(totals[row]))) + 1, len(order))
        target = u[row] * cumulative[size - 1]
        entry = int(np.searchsorted(cumulative[:size], target, side="right"))
        tokens[row] = order[min(entry, size - 1)]
    return tokens
