"""Where a gate thinks, against scipy's entropy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from runtime.gate import Gate

LOGITS = np.random.default_rng(0).normal(0, 4, (50, 30)).astype(np.float32)
LOGITS[:, 7] = -np.inf


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9, 1.0])
def test_by_probability(threshold: float) -> None:
    top = softmax(LOGITS.astype(np.float64), axis=1).max(axis=1)
    assert Gate("probability", threshold)(LOGITS) == list(np.flatnonzero(top < threshold))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0, 5.0])
def test_by_entropy(threshold: float) -> None:
    spread = entropy(softmax(LOGITS.astype(np.float64), axis=1), axis=1)
    assert Gate("entropy", threshold)(LOGITS) == list(np.flatnonzero(spread > threshold))


@pytest.mark.parametrize(
    ("by", "threshold", "choices"),
    [("probability", 1.2, "0 to 1"), ("probability", -0.1, "0 to 1"), ("entropy", -1, "0 or more")],
)
def test_impossible_thresholds(by: str, threshold: float, choices: str) -> None:
    with pytest.raises(ValueError, match=choices):
        Gate(by, threshold)  # type: ignore[arg-type]
