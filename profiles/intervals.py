"""Intervals and tests for accuracies, alone and paired by question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Paired:
    """One system against another on the same questions. `difference` is ours minus theirs."""

    n: int
    lost: int  # right there, wrong here
    won: int
    difference: float
    low: float
    high: float
    mcnemar_p: float


def wilson(correct: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion.

    Raises:
        ValueError: if there are no trials.
    """
    if n < 1:
        raise ValueError("an interval needs at least one question")
    found = binomtest(correct, n).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def compare(theirs: Sequence[bool], ours: Sequence[bool], confidence: float = CONFIDENCE) -> Paired:
    """The paired difference of two accuracies.

    The interval is Bonett and Price's (2012) adjusted Wald: one is added to each count of flips, so
    that it has a width even where nothing flipped. The p-value is of McNemar's exact test.

    Raises:
        ValueError: if the two do not pair, or there is nothing.
    """
    if len(theirs) != len(ours) or not ours:
        raise ValueError(f"{len(theirs)} and {len(ours)} questions do not pair")
    n = len(ours)
    lost = sum(a and not b for a, b in zip(theirs, ours, strict=True))
    won = sum(b and not a for a, b in zip(theirs, ours, strict=True))
    low, high = _adjusted_wald(lost, won, n, confidence)
    return Paired(n, lost, won, (won - lost) / n, low, high, mcnemar_p(lost, won))


def mcnemar_p(lost: int, won: int) -> float:
    """The two-sided exact p-value that flips go both ways alike; 1 without flips."""
    flips = lost + won
    return 1.0 if flips == 0 else float(binomtest(lost, flips, 0.5).pvalue)


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile, linear between the nearest values."""
    return float(np.percentile(values, percent))


def _adjusted_wald(lost: int, won: int, n: int, confidence: float) -> tuple[float, float]:
    p_lost, p_won = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    centre = p_won - p_lost
    error = math.sqrt((p_lost + p_won - centre**2) / (n + 2))
    reach = float(norm.ppf((1 + confidence) / 2)) * error
    return max(-1.0, centre - reach), min(1.0, centre + reach)
