"""How REBASE splits a budget of children over scored candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from convert.refusal import Refusal

Allocation = Literal["ceil", "round", "ceil_fp32"]

SLACK = 1e-12  # keeps ceil from turning 2.0000000000000004 into 3


def allocate(
    scores: Sequence[float], width: int, balance: float, allocation: Allocation = "ceil"
) -> list[int]:
    """Split `width` children over candidates, in proportion to exp(score / balance).

    Returns one count per score, in the order of the scores. `ceil` goes from the best score down,
    rounds up and takes from what is left, so the counts sum to `width`. `round` is equation 1 of
    REBASE (Wu et al. 2024), whose counts need not sum to it. `ceil_fp32` repeats the released code
    bit for bit: float32 and no clamp, so the last count may be one too many.

    Raises:
        Refusal: if `scores` is empty, `width` negative, or `balance` not positive.
    """
    if not scores:
        raise ValueError("no scores to allocate over")
    if width < 0:
        raise ValueError(f"width {width} is negative")
    if balance <= 0:
        raise Refusal(f"balance {balance} is not positive")
    dtype = np.float32 if allocation == "ceil_fp32" else np.float64
    values = np.asarray(scores, dtype)
    weights = np.exp((values - values.max()) / dtype(balance))
    if allocation == "round":
        return [int(n) for n in np.rint(width * weights / weights.sum())]
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
