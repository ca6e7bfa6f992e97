"""How REBASE splits a budget of children over scored candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal
from methods.catalog import Allocation

SLACK = 1e-12  # keeps ceil from turning 2.0000000000000004 into 3


def allocate(
    scores: Sequence[float], width: int, balance: float, allocation: Allocation = "ceil"
) -> list[int]:
    """Split `width` children over candidates, in proportion to exp(score / balance).

    Returns one count per score, in the order of the scores. `ceil` goes from the best score down,
    rounds up and takes from what is left, so the counts sum to `width`. `round` is equation 1 of
    REBASE (Wu et al. 2024), whose counts may sum to up to twice as many; the best candidate gets
    what rounding lost, so they never sum to less, and somebody always has a child. `ceil_fp32`
    repeats the released code bit for bit: float32 and no clamp, so the last count may be one too
    many.

    Raises:
        ValueError: if `scores` is empty, or `width` negative.
        Refusal: if `balance` is not positive, or a score is not a number.
    """
    if not scores:
        raise ValueError("no scores to allocate over")
    if width < 0:
        raise ValueError(f"width {width} is negative")
    dtype = np.float32 if allocation == "ceil_fp32" else np.float64
    if not dtype(balance) > 0:
        raise Refusal(f"balance {balance} is not positive")
    values = np.asarray(scores, dtype)
    if not np.isfinite(values).all():
        raise Refusal(f"scores {list(scores)} are not all numbers; the reward model is broken")
    with np.errstate(over="ignore"):  # a tiny balance: all but the best weigh nothing
        weights = np.exp((values - values.max()) / dtype(balance))
    if allocation == "round":
        return _rounded(width * weights / weights.sum(), width, int(values.argmax()))
    counts = [0] * len(scores)
    left, total = width, weights.sum()
    for index in np.argsort(np.negative(values), kind="stable"):
        share = left * weights[index] / total if total > 0 else dtype(left)
        slack = 0.0 if allocation == "ceil_fp32" else SLACK
        counts[index] = int(np.ceil(share - slack))
        if allocation == "ceil":
            counts[index] = min(counts[index], left)
        left -= counts[index]
        total -= weights[index]
        if left <= 0:
            break
    return counts


def _rounded(shares: npt.NDArray[np.float64], width: int, best: int) -> list[int]:
    """Shares as whole numbers; `best` gets what is then missing of the width."""
    counts = [int(n) for n in np.rint(shares)]
    counts[best] += max(0, width - sum(counts))
    return counts
