"""One vectorized sampler over (B, V) logits, the same for every engine.

The random number of a draw is a pure function of (seed, branch id, position): nothing is carried
from draw to draw, so a run repeats on any engine, and two quantization levels of one model see the
same numbers (common random numbers: differences come from the weights). Rows are drawn some at a
time, so that they stay in the processor's cache, and in threads where they are large: numpy frees
Python's lock meanwhile. What is drawn does not depend on either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal
from runtime.engine import Logits, Sampling

BLOCK = 64  # vocabulary entries summed together before the inverse CDF looks inside
ONES = np.ones(BLOCK, np.float32)
SMALL = 4096  # entries that are sorted as they are
PART = 1 << 18  # entries drawn from in one go: 1 MiB
LOWEST = np.float32(-1e30)
FLOORS = (2.0**-7, 2.0**-12, 2.0**-17)  # of the largest weight, tried for a nucleus

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


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
    """Temperature and nucleus sampling with exact log-probabilities, in at most so many threads."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._buffers: list[Logits] = [np.zeros((0, 0), np.float32)] * threads

    def draw(
        self,
        logits: Logits,
        sampling: Sampling,
        branches: Sequence[int],
        positions: Sequence[int],
        seeds: Sequence[int] | None = None,
        *,
        entropies: bool = False,
    ) -> tuple[npt.NDArray[Any], ...]:
        """(B,) token ids and their log-probabilities from (B, V) logits, which stay unchanged.

        Rows of several trees may have a seed each. With `entropies` those come too, in nats.

        Temperature comes before the nucleus. Both are of the tempered distribution before
        truncation; at temperature 0 they are of the untempered one, or 0 where nobody wants them.

        Raises:
            Refusal: if a row holds NaN or infinity, or no possible token.
        """
        count, vocab = logits.shape
        seeds = [sampling.seed] * count if seeds is None else seeds
        u = uniform(seeds, branches, positions) if sampling.temperature else np.zeros(count)
        tokens, logprobs = np.empty(count, np.int64), np.empty(count, np.float32)
        entropy = np.zeros(count, np.float32) if entropies else None
        step = max(1, PART // vocab)
        parts = [slice(begin, begin + step) for begin in range(0, count, step)]

        def run(thread: int, threads: int) -> None:
            for part in parts[thread::threads]:
                weights = self._room(thread, min(step, count), vocab)[: len(u[part])]
                out = None if entropy is None else entropy[part]
                found = _drawn(logits[part], weights, sampling, u[part], out)
                tokens[part], logprobs[part] = found

        self._share(run, min(self._threads, len(parts)))
        return (tokens, logprobs) if entropy is None else (tokens, logprobs, entropy)

    def _share(self, run: Callable[[int, int], None], threads: int) -> None:
        """Call `run` once for each thread, the first of them this one."""
        if self._pool is None and threads > 1:
            self._pool = ThreadPoolExecutor(self._threads - 1, "sampling")
        pool = self._pool
        others = [pool.submit(run, n, threads) for n in range(1, threads)] if pool else []
        try:
            run(0, threads)
        finally:
            wait(others)  # or the next draw would find them in its room
        for other in others:
            other.result()

    def _room(self, thread: int, count: int, vocab: int) -> Logits:
        """(count, V) weights of a thread, padded with zeros to whole blocks."""
        width = -(-vocab // BLOCK) * BLOCK
        buffer = self._buffers[thread]
        if buffer.shape[0] < count or buffer.shape[1] != width:
            buffer = self._buffers[thread] = np.zeros((count, width), np.float32)
        return buffer[:count]


def _drawn(
    logits: Logits, room: Logits, sampling: Sampling, u: Floats, entropy: Logits | None
) -> tuple[Ids, npt.NDArray[np.float32]]:
    """Tokens of some rows and their log-probabilities; `room` is overwritten.

    Their entropies are written into `entropy`.
    """
    rows, greedy = np.arange(len(logits)), sampling.temperature == 0
    tokens = logits.argmax(axis=1) if greedy else None
    peaks = logits.max(axis=1) if tokens is None else logits[rows, tokens]  # NaN in a row with one
    if not all(map(math.isfinite, peaks.tolist())):
        raise _not_finite(peaks)
    if tokens is not None and not sampling.logprobs:
        return tokens, np.zeros(len(tokens), np.float32)
    _weights(logits, peaks, room, sampling.temperature or 1.0)
    blocks = room.reshape(len(rows), -1, BLOCK) @ ONES  # (B, blocks): BLAS sums fastest
    totals = blocks.sum(axis=1)
    if entropy is not None:
        means = _weighed(logits, room[:, : logits.shape[1]]) / totals
        below = (peaks - means) / np.float32(sampling.temperature or 1.0)
        entropy[:] = np.log(totals) + below
    if tokens is None:
        nucleus = sampling.top_p < 1
        tokens = _nucleus(room, totals, u, sampling.top_p) if nucleus else _any(room, blocks, u)
    return tokens, np.log(room[rows, tokens] / totals)


def _weighed(logits: Logits, weights: Logits) -> Logits:
    """(B,) sums of logits times their weights."""
    with np.errstate(invalid="ignore"):
        sums = np.vecdot(weights, logits)
    if np.isnan(sums).any():  # of tokens that cannot come, 0 times -infinity
        sums = np.vecdot(weights, np.maximum(logits, LOWEST))
    return np.asarray(sums)


def _weights(logits: Logits, peaks: Logits, room: Logits, temperature: float) -> Logits:
    """exp((logits - peak) / temperature) in `room`, which is wider: zeros stay behind."""
    view = room[:, : logits.shape[1]]
    np.subtract(logits, peaks[:, None], out=view)
    if temperature != 1.0:
        np.multiply(view, np.float32(1 / temperature), out=view)
    np.exp(view, out=view)
    return room


def _not_finite(peaks: Logits) -> Refusal:
    worst = float(peaks[~np.isfinite(peaks)][0])
    kind = "NaN" if math.isnan(worst) else "infinite" if worst > 0 else "only -infinite"
    return Refusal(
        f"the model gives {kind} logits: its weights are broken, or the library that computes them "
        "was built wrongly; profile doctor tells which"
    )


def _any(weights: Logits, blocks: Logits, u: Floats) -> Ids:
    """The first token whose cumulative weight exceeds u times the total, found by blocks."""
    rows = np.arange(len(weights))
    ends = np.cumsum(blocks, axis=1, dtype=np.float64)
    target = u * ends[:, -1]
    block = (ends <= target[:, None]).sum(axis=1)
    before = np.where(block > 0, ends[rows, block - 1], 0.0)
    inside = weights.reshape(len(rows), -1, BLOCK)[rows, block]  # (B, BLOCK)
    within = np.cumsum(inside, axis=1, dtype=np.float64)
    entry = (within <= (target - before)[:, None]).sum(axis=1)
    for row in np.flatnonzero(entry == BLOCK):  # the float32 sum was a rounding above its entries
        entry[row] = np.flatnonzero(inside[row])[-1]
    return np.asarray(block * BLOCK + entry)


def _nucleus(weights: Logits, totals: Logits, u: Floats, top_p: float) -> Ids:
    """Draws from the smallest set of most probable tokens that holds `top_p` of the weight."""
    tokens = np.empty(len(weights), np.int64)
    bounds = totals * np.float32((1 - top_p) / weights.shape[1])  # nothing below can be inside
    for row, (weight, bound) in enumerate(zip(weights, bounds, strict=True)):
        wanted = top_p * float(totals[row])
        order, cumulative = _heaviest(weight, bound, wanted)
        size = min(int(np.searchsorted(cumulative, wanted)) + 1, len(order))
        target = u[row] * cumulative[size - 1]
        entry = int(np.searchsorted(cumulative[:size], target, side="right"))
        tokens[row] = order[min(entry, size - 1)]
    return tokens


def _heaviest(weight: Logits, bound: np.float32, wanted: float) -> tuple[Ids, Floats]:
    """The most probable tokens in order, and their cumulative weight.

    As many as hold the wanted weight, mostly a few, or all that are not below `bound`.
    """
    for floor in FLOORS if len(weight) > SMALL else ():
        if floor > bound:
            order = _sorted(weight, np.flatnonzero(weight >= floor))
            cumulative = np.cumsum(weight[order], dtype=np.float64)
            if cumulative[-1] >= wanted:
                return order, cumulative
    order = _sorted(weight, np.flatnonzero(weight >= bound))
    return order, np.cumsum(weight[order], dtype=np.float64)


def _sorted(weight: Logits, kept: Ids) -> Ids:
    """Numbers by falling weight, those of one weight by rising number."""
    if len(kept) < SMALL:
        return kept[np.argsort(-weight[kept], kind="stable")]
    bits = np.uint64(0xFFFFFFFF) - weight[kept].view(np.uint32)  # as positive floats are ordered
    keys = np.sort((bits << np.uint64(32)) | kept.astype(np.uint64))  # three times as fast
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
