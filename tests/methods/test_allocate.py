import numpy as np
import pytest

from convert.refusal import Refusal
from methods.allocate import allocate

FOUR = [0.9, 0.8, 0.5, 0.1]
SIX = [0.95, 0.94, 0.93, 0.92, 0.2, 0.1]


@pytest.mark.parametrize(
    ("scores", "width", "balance", "allocation", "expected"),
    [
        (FOUR, 16, 0.2, "ceil", [10, 5, 1, 0]),
        (FOUR, 16, 0.2, "round", [9, 6, 1, 0]),
        (FOUR, 16, 0.1, "ceil", [12, 4, 0, 0]),
        (FOUR, 16, 0.1, "round", [12, 4, 0, 0]),
        (SIX, 16, 0.2, "ceil", [5, 4, 4, 3, 0, 0]),
        (SIX, 16, 0.2, "round", [4, 4, 4, 4, 0, 0]),
        (SIX, 16, 0.1, "ceil", [5, 5, 4, 2, 0, 0]),
        (SIX, 16, 0.1, "round", [5, 4, 4, 3, 0, 0]),
        ([0.6] * 4, 6, 0.2, "ceil", [2, 2, 1, 1]),
        ([0.6] * 4, 6, 0.2, "round", [2, 2, 2, 2]),
        ([0.9, 0.5, 0.1], 3, 0.1, "ceil", [3, 0, 0]),
        ([0.9, 0.5, 0.1], 3, 0.1, "round", [3, 0, 0]),
        ([0.9, 0.5, 0.1], 3, 0.1, "ceil_fp32", [3, 0, 0]),
        ([1.0], 8, 0.1, "ceil", [8]),
        ([0.5, 0.5, 0.5, 0.5], 2, 0.1, "round", [2, 0, 0, 0]),  # all shares are a half: lost
        ([0.1, 0.5, 0.5], 1, 1.0, "round", [0, 1, 0]),
        ([0.9, 0.5, 0.1], 4, 1e-320, "ceil", [4, 0, 0]),
    ],
)
def test_golden_vectors(
    scores: list[float], width: int, balance: float, allocation: str, expected: list[int]
) -> None:
    assert allocate(scores, width, balance, allocation) == expected  # type: ignore[arg-type]


def test_ceil_spends_the_width_exactly_in_any_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        scores = rng.random(rng.integers(1, 17)).tolist()
        width = int(rng.integers(0, 33))
        counts = allocate(scores, width, float(rng.choice([0.05, 0.1, 0.2, 1.0])))
        assert sum(counts) == width
        order = rng.permutation(len(scores))
        shuffled = allocate([scores[i] for i in order], width, 0.1)
        assert shuffled == [allocate(scores, width, 0.1)[i] for i in order]


def test_round_never_spends_less_than_the_width_nor_more_than_twice() -> None:
    rng = np.random.default_rng(1)
    for _ in range(2000):
        scores = rng.choice([0.1, 0.2, 0.5, 0.9], rng.integers(1, 40)).tolist()
        width = int(rng.integers(0, 33))
        counts = allocate(scores, width, float(rng.choice([0.05, 0.1, 1.0, 100.0])), "round")
        assert width <= sum(counts) <= 2 * width
        assert min(counts) >= 0


def test_better_scores_never_get_less() -> None:
    counts = allocate([0.2, 0.9, 0.5], 10, 0.3)
    assert counts[1] >= counts[2] >= counts[0]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no scores"):
        allocate([], 4, 0.1)
    with pytest.raises(ValueError, match="balance 0"):
        allocate([0.5], 4, 0)
    with pytest.raises(ValueError, match="width -1"):
        allocate([0.5], -1, 0.1)
    with pytest.raises(Refusal, match="balance nan"):
        allocate([0.5], 4, float("nan"))
    with pytest.raises(Refusal, match="balance 1e-60"):
        allocate([0.5], 4, 1e-60, "ceil_fp32")
    with pytest.raises(Refusal, match="the reward model is broken"):
        allocate([0.5, float("nan")], 4, 0.1)
