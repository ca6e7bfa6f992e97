"""How well scores tell right answers from wrong ones to the same question."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from profiles.intervals import CONFIDENCE, Estimate

Scores = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer]
DRAWS = 10_000


def by_question(scores: Scores, right: Flags, question: Ints) -> dict[int, float]:
    """The AUC of every question that has right and wrong answers; ties count half."""
    found = {}
    for number in np.unique(question):
        own = question == number
        good, bad = scores[own & right], scores[own & ~right]
        if len(good) and len(bad):
            above = (good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean()
            found[int(number)] = float(above)
    return found


def auc(scores: Scores, right: Flags, question: Ints) -> float:
    """The mean over questions; 0.5 tells nothing."""
    return float(np.mean(list(by_question(scores, right, question).values())))


def difference(ours: Scores, theirs: Scores, right: Flags, question: Ints) -> Estimate:
    """Our AUC less theirs, with an interval by resampling questions."""
    one, other = (by_question(scores, right, question) for scores in (ours, theirs))
    return resampled(np.array([one[n] - other[n] for n in one]))


def interval(scores: Scores, right: Flags, question: Ints) -> Estimate:
    """The AUC with an interval by resampling questions."""
    return resampled(np.array(list(by_question(scores, right, question).values())))


def resampled(values: Scores, seed: int = 0) -> Estimate:
    """A mean over questions, and the percentiles of means of as many drawn again."""
    draw = np.random.default_rng(seed)
    means = np.array([draw.choice(values, len(values)).mean() for _ in range(DRAWS)])
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(values.mean()), float(low), float(high))


def best_of(scores: Scores, right: Flags, question: Ints) -> npt.NDArray[np.float64]:
    """(Q,) 1 where the answer with the highest score is right; of equals the first."""
    return _by_question(question, lambda own: right[own][np.argmax(scores[own])])


def _by_question(question: Ints, value: Callable[[Flags], float]) -> npt.NDArray[np.float64]:
    return np.array([float(value(question == number)) for number in np.unique(question)])
