import time

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from convert.refusal import Refusal
from runtime import sampling
from runtime.engine import Sampling
from runtime.sampling import PART, Sampler, uniform
from tests.runtime.plain_sampler import plain_draw


def test_uniform_is_a_function_of_seed_branch_and_position() -> None:
    first = uniform(7, [0, 1, 2], [5, 5, 5])
    assert np.array_equal(first, uniform(7, [0, 1, 2], [5, 5, 5]))
    assert len(set(first)) == 3
    assert not np.array_equal(first, uniform(8, [0, 1, 2], [5, 5, 5]))
    assert first[1] == uniform(7, [1], [5])[0]  # a row does not depend on its neighbours


def test_uniform_is_uniform() -> None:
    draws = uniform(3, list(range(200)) * 100, [p for p in range(100) for _ in range(200)])
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    assert draws.min() >= 0
    assert draws.max() < 1
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 43.8  # 0.1 % point of 19 degrees of freedom


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_draws_follow_the_tempered_distribution(top_p: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=100).astype(np.float32) * 2
    p = np.exp(logits / 0.7)
    p /= p.sum()
    if top_p < 1:
        order = np.argsort(-p)
        kept = order[: int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1]
        p = np.where(np.isin(np.arange(100), kept), p, 0)
        p /= p.sum()
    n = 20_000
    tokens, _ = Sampler().draw(
        np.tile(logits, (n, 1)), Sampling(0.7, top_p, seed=1), list(range(n)), [0] * n
    )
    counts = np.bincount(tokens, minlength=100)
    assert counts[p == 0].sum() == 0
    expected = n * p[p > 0]
    assert ((counts[p > 0] - expected) ** 2 / expected).sum() < 2 * np.count_nonzero(p)


def test_logprobs_are_of_the_untruncated_distribution() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2]], np.float32))
    for top_p in (1.0, 0.4):
        tokens, logprobs = Sampler().draw(logits, Sampling(1.0, top_p), [0], [0])
        assert logprobs[0] == pytest.approx(np.log([0.5, 0.3, 0.2][tokens[0]]), abs=1e-6)


def test_greedy_takes_the_best_and_leaves_logits_alone() -> None:
    logits = np.array([[0.0, 3.0, 1.0], [9.0, 3.0, 1.0]], np.float32)
    before = logits.copy()
    tokens, logprobs = Sampler().draw(logits, Sampling(temperature=0), [0, 1], [0, 0])
    assert tokens.tolist() == [1, 0]
    assert logprobs[0] == pytest.approx(3 - np.log(np.exp([0, 3, 1]).sum()), abs=1e-6)
    assert np.array_equal(before, logits)


def test_impossible_tokens_are_never_drawn() -> None:
    logits = np.full((500, 200), -np.inf, np.float32)
    logits[:, [3, 150]] = 0.0
    tokens, _ = Sampler().draw(logits, Sampling(), list(range(500)), [0] * 500)
    assert set(tokens.tolist()) == {3, 150}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([0.0, np.nan, 1.0], "the model gives NaN logits: .*; profile doctor tells which"),
        ([np.nan, -np.inf, -np.inf], "NaN logits"),
        ([0.0, np.inf, 1.0], "the model gives infinite logits"),
        ([-np.inf, -np.inf, -np.inf], "the model gives only -infinite logits"),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite_are_refused(
    bad: list[float], said: str, temperature: float
) -> None:
    good = [0.0, -np.inf, 1.0]
    sampler, sampling = Sampler(), Sampling(temperature)
    for rows in ([bad], [good, bad], [bad, good]):
        ids = list(range(len(rows)))
        with pytest.raises(Refusal, match=said):
            sampler.draw(np.array(rows, np.float32), sampling, ids, ids)
    tokens, logprobs = sampler.draw(
        np.array([good] * 9, np.float32), sampling, [*range(9)], [0] * 9
    )
    assert set(tokens.tolist()) <= {0, 2}
    assert np.isfinite(logprobs).all()


SAMPLINGS = [
    Sampling(0.0),
    Sampling(1.0),
    Sampling(0.7, seed=3),
    Sampling(1.0, 0.95),
    Sampling(0.6, 0.5),
    Sampling(1.3, 0.999),
]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("rows", "vocab"), [(70, 515), (9, 32_000), (3, 151_936)])
@pytest.mark.parametrize("spread", [0.0, 2.5, 6.0])
def test_draws_are_those_of_a_plain_sampler_to_the_bit(
    sampling: Sampling, rows: int, vocab: int, spread: float
) -> None:
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=(rows, vocab)) * spread).astype(np.float32).round(1)  # many are equal
    logits[rng.integers(0, rows), rng.integers(0, vocab, 5)] = -np.inf
    ids, positions = [*range(rows)], [*range(5, 5 + rows)]
    tokens, logprobs = Sampler().draw(logits, sampling, ids, positions)
    expected = plain_draw(logits, sampling, ids, positions)
    assert np.array_equal(tokens, expected[0])
    assert np.array_equal(logprobs, expected[1])


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("vocab", [515, PART // 2])
def test_entropies_are_of_what_is_drawn_from_and_change_no_draw(
    sampling: Sampling, vocab: int
) -> None:
    logits = (np.random.default_rng(0).normal(size=(9, vocab)) * 4).astype(np.float32) + 20
    logits[3, 5:] = logits[4, 2] = -np.inf
    ids = [*range(9)]
    tokens, logprobs, found = Sampler(2).draw(logits, sampling, ids, ids, entropies=True)
    expected = Sampler().draw(logits, sampling, ids, ids)
    assert np.array_equal(tokens, expected[0])
    assert np.array_equal(logprobs, expected[1])
    chances = softmax(logits.astype(np.float64) / (sampling.temperature or 1.0), axis=1)
    assert found == pytest.approx(entropy(chances, axis=1), abs=3e-4)


def test_greedy_draws_the_same_where_nobody_wants_log_probabilities() -> None:
    logits = np.random.default_rng(2).normal(size=(9, 32_000)).astype(np.float32)
    ids = [*range(9)]
    tokens, logprobs = Sampler().draw(logits, Sampling(0.0, logprobs=False), ids, ids)
    assert np.array_equal(tokens, Sampler().draw(logits, Sampling(0.0), ids, ids)[0])
    assert not logprobs.any()
    drawn = Sampler().draw(logits, Sampling(1.0, logprobs=False), ids, ids)
    assert np.array_equal(drawn[1], Sampler().draw(logits, Sampling(1.0), ids, ids)[1])
    logits[4, 7] = np.nan
    with pytest.raises(Refusal, match="NaN logits"):
        Sampler().draw(logits, Sampling(0.0, logprobs=False), ids, ids)


@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_threads_change_nothing(sampling: Sampling, threads: int) -> None:
    vocab = PART // 2
    logits = np.random.default_rng(1).normal(size=(11, vocab)).astype(np.float32)
    logits[:, 5] = 12.0
    sampler, ids = Sampler(threads), [*range(11)]
    for rows in (11, 1, 7):  # the same threads again, with other rows
        found = sampler.draw(logits[:rows], sampling, ids[:rows], ids[:rows])
        expected = Sampler().draw(logits[:rows], sampling, ids[:rows], ids[:rows])
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[1], expected[1])


def test_a_thread_that_meets_broken_logits_says_so() -> None:
    logits = np.zeros((8, PART), np.float32)
    logits[6, 3] = np.nan
    with pytest.raises(Refusal, match="NaN logits"):
        Sampler(3).draw(logits, Sampling(), [*range(8)], [0] * 8)


def test_a_broken_row_leaves_no_thread_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows, a thread for each: the next draw may not meet the second in its buffer."""
    drawn, ended = sampling._drawn, []

    def slow(logits: np.ndarray, *rest: object) -> object:
        if np.isfinite(logits).all():
            time.sleep(0.2)
            ended.append(True)
        return drawn(logits, *rest)

    monkeypatch.setattr(sampling, "_drawn", slow)
    rows = np.zeros((2, PART), np.float32)
    rows[0, 3] = np.nan
    with pytest.raises(Refusal, match="NaN"):
        Sampler(2).draw(rows, Sampling(0.0), [0, 1], [0, 0])
    assert ended
