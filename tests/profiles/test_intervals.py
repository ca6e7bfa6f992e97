"""Intervals and tests against hand-worked figures, other libraries, and a simulation."""

from __future__ import annotations

import numpy as np
import pytest

from profiles.intervals import accuracy, adjusted_wald, compare, mcnemar_p, percentile, wilson


def test_wilson_by_hand() -> None:
    # (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n) with p = 0.8, n = 10, z = 1.96
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_wilson_matches_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for correct, n in ((0, 7), (3, 7), (7, 7), (73, 100), (1, 1319)):
        expected = proportion.proportion_confint(correct, n, method="wilson")
        assert wilson(correct, n) == pytest.approx(expected, abs=1e-12)


def test_wilson_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one question"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="at least one question"):
        accuracy([])


def test_an_accuracy_is_a_share_in_wilsons_interval() -> None:
    found = accuracy([True] * 8 + [False] * 2)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)


def test_paired_difference_by_hand() -> None:
    """Six lost, none won of 100: p = 7/102 and 1/102, difference −6/102, error 0.027111."""
    theirs = [True] * 80 + [False] * 20
    ours = [True] * 74 + [False] * 26
    found = compare(theirs, ours)
    assert (found.n, found.lost, found.won, found.difference) == (100, 6, 0, -0.06)
    assert (found.low, found.high) == pytest.approx((-0.11196, -0.00569), abs=1e-5)
    assert found.mcnemar_p == pytest.approx(2 / 64)


def test_an_interval_without_flips_still_has_a_width() -> None:
    found = compare([True, False] * 50, [True, False] * 50)
    assert found.low == -found.high
    assert 0.02 < found.high < 0.04
    assert found.mcnemar_p == 1.0


def test_interval_stays_inside_and_holds_its_estimate() -> None:
    found = compare([True] * 5, [False] * 5)
    assert -1.0 <= found.low <= found.difference <= found.high


def test_mcnemar_matches_statsmodels() -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for lost, won in ((1, 0), (3, 9), (10, 2), (5, 5)):
        expected = tables.mcnemar([[20, lost], [won, 20]], exact=True).pvalue
        assert mcnemar_p(lost, won) == pytest.approx(expected)


def test_unpaired_lists_are_an_error() -> None:
    with pytest.raises(ValueError, match="3 and 2 questions do not pair"):
        compare([True] * 3, [True] * 2)


@pytest.mark.parametrize(
    ("p_lost", "p_won", "n", "most"), [(0.08, 0.03, 100, 0.98), (0.02, 0.02, 50, 1.0)]
)
def test_coverage(p_lost: float, p_won: float, n: int, most: float) -> None:
    """About 95 of 100 intervals hold the truth; more where flips are rare, never much less."""
    rng = np.random.default_rng(0)
    runs, covered = 1500, 0
    for _ in range(runs):
        draw = rng.random(n)
        theirs = draw < p_lost + 0.5
        ours = (draw >= p_lost) & (draw < p_lost + 0.5) | (draw > 1 - p_won)
        found = compare(theirs.tolist(), ours.tolist())
        covered += found.low <= p_won - p_lost <= found.high
    assert 0.93 <= covered / runs <= most


def test_coverage_of_what_search_took_back() -> None:
    """Changes from −2 to 2, two losses' difference, keep the nominal rate too."""
    rng = np.random.default_rng(1)
    values, chances = np.arange(-2, 3), [0.01, 0.05, 0.8, 0.12, 0.02]
    truth, runs = float(values @ np.array(chances)), 1500
    covered = 0
    for _ in range(runs):
        low, high = adjusted_wald(rng.choice(values, 100, p=chances).tolist())
        covered += low <= truth <= high
    assert 0.93 <= covered / runs <= 0.97


def test_percentiles_are_linear_between_values() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.5
    assert percentile([0.0, 10.0], 95) == pytest.approx(9.5)
