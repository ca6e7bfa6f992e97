"""Intervals and tests for accuracies, alone and paired by question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy.stats import binomtest, norm

CONFIDENCE = 0.95
OF_ACCURACIES = "Wilson's interval"  # what `accuracy` gives, as reports name it


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the bounds of its interval."""

    value: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high


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


def accuracy(right: Sequence[bool]) -> Estimate:
    """The share of right answers, in the interval that all accuracies have.

    Raises:
        ValueError: if there are no answers.
    """
    low, high = wilson(sum(right), len(right))
    return Estimate(fmean(right), low, high)


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
    changes = [int(b) - int(a) for a, b in zip(theirs, ours, strict=True)]
    lost, won = changes.count(-1), changes.count(1)
    low, high = adjusted_wald(changes, confidence)
    low, high = max(-1.0, low), min(1.0, high)
    return Paired(n, lost, won, (won - lost) / n, low, high, mcnemar_p(lost, won))


def adjusted_wald(changes: Sequence[int], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the mean of whole numbers, one a question.

    Wald's, after one question that lost and one that won were added: for changes of −1, 0 and 1
    that is Bonett and Price's, and nothing has a width of zero.
    """
    n = len(changes) + 2
    mean = sum(changes) / n
    variance = (sum(change * change for change in changes) + 2) / n - mean * mean
    reach = float(norm.ppf((1 + confidence) / 2)) * math.sqrt(variance / n)
    return mean - reach, mean + reach


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Estimate | None:
    """Our total over theirs, paired by question; None where nothing can be said.

    The interval is that of a ratio estimator (Cochran 1977, section 6.3) on a logarithmic scale.
    """
    n, total = len(ours), math.fsum(theirs)
    value = math.fsum(ours) / total if total else 0.0
    if n < 2 or value <= 0:
        return None
    squares = math.fsum((b - value * a) ** 2 for a, b in zip(theirs, ours, strict=True))
    error = math.sqrt(squares / (n * (n - 1))) * n / total
    reach = math.exp(float(norm.ppf((1 + CONFIDENCE) / 2)) * error / value)
    return Estimate(value, value / reach, value * reach)


def mcnemar_p(lost: int, won: int) -> float:
    """The two-sided exact p-value that flips go both ways alike; 1 without flips."""
    flips = lost + won
    return 1.0 if flips == 0 else float(binomtest(lost, flips, 0.5).pvalue)


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile, linear between the nearest values."""
    return float(np.percentile(values, percent))
