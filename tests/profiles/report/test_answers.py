"""One-sentence answers: yes only where an interval excludes zero."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from profiles.intervals import compare
from profiles.report import answers
from profiles.report.choice import choose, eligible
from profiles.report.row_comparison import RowComparison, by_intervals
from profiles.report.rows import Row
from profiles.report.screen import cards, verdicts
from profiles.report.summary import Summary, summarize


@pytest.fixture
def summary(run_folder: Path) -> Summary:
    return summarize(run_folder)


def test_a_loss_is_claimed_only_where_one_is_sure(summary: Summary) -> None:
    said = answers.does_quantization_cost(summary.rows)
    assert said.startswith("Yes, at ")
    assert "q2_k (every method, greedy the most: −59.0 points)" in said
    assert "at f16 and q8_0 no loss was detected" in said
    mild = [r for r in summary.rows if r.change is None or r.change.holds_zero]
    assert answers.does_quantization_cost(mild).startswith("Not that 100 questions can show")


def test_search_pays_only_where_it_surely_gains(summary: Summary) -> None:
    assert answers.does_search_pay(summary.gains).startswith("Not surely anywhere; at best")
    one = summary.gains[0]
    sure = replace(one, paired=compare([False] * 90 + [True] * 10, [True] * 100))
    assert answers.does_search_pay([sure]).startswith("Yes, at 1 of 1 levels: majority@8 at torch")
    worse = replace(one, paired=compare([True] * 100, [False] * 90 + [True] * 10))
    assert "nowhere is a search above" in answers.does_search_pay([worse])
    assert answers.does_search_pay([]).startswith("Not measured")


def test_gains_are_paired_with_greedy_at_the_same_level(summary: Summary) -> None:
    rows = {(r.setup.level, r.setup.method): r.accuracy.value for r in summary.rows}
    assert len(summary.gains) == 6 * 4
    for gain in summary.gains:
        setup = gain.row.setup
        apart = rows[setup.level, setup.method] - rows[setup.level, "greedy"]
        assert gain.paired.difference == pytest.approx(apart)
    assert len({(g.row.setup.level, g.row.setup.method) for g in summary.gains}) == 24


def test_what_was_taken_back_is_told_for_lossy_levels(summary: Summary) -> None:
    said = answers.does_search_take_it_back(summary.recoveries)
    assert said.startswith("Not surely: of −6.0 points at q4_k_m REBASE w=8 takes back perhaps")
    kept = [r for r in summary.recoveries if not r.lossy]
    assert answers.does_search_take_it_back(kept).startswith("There is nothing to take back")


def test_the_row_to_use_is_no_checkpoint_and_names_a_faster_one(summary: Summary) -> None:
    choice = choose(eligible(summary.rows), by_intervals)
    best = max(r.accuracy.value for r in summary.rows if r.setup.format != "torch")
    assert choice.pick.setup.format == "gguf"
    assert choice.pick.accuracy.value == best
    assert choice.thrifty is not None
    assert "not told apart from" in answers.which_row(choice, summary.rows)
    apart = choose(eligible(summary.rows), lambda *_: RowComparison(same=False))
    assert apart.thrifty is None
    assert "surely above" in answers.which_row(apart, summary.rows)
    assert [card.role for card in cards(apart)] == ["Recommended", "Runner-up"]


def test_the_row_to_use_says_among_what_it_is_the_most_accurate(summary: Summary) -> None:
    choice = summary.choice
    assert choice is not None
    full = next(r for r in summary.rows if r.setup.format == "torch")
    below = eligible(summary.rows)
    above = replace(full, accuracy=replace(full.accuracy, value=0.99))
    rows = [above if r is full else r for r in summary.rows]
    said = answers.which_row(choice, rows)
    assert f"the most accurate of the {len(below)} rows below full precision (" in said
    assert f"; there {answers.method_name(full)} has 99.0 %)" in said
    under = [replace(r, accuracy=replace(r.accuracy, value=0.0)) for r in rows[:5]]
    assert "below full precision, " in answers.which_row(choice, [*under, *rows[5:]])
    assert f"of the {len(below)} rows, " in answers.which_row(choice, below)


def test_the_first_screen_has_three_sentences(summary: Summary) -> None:
    found = [verdict.text for verdict in verdicts(summary)]
    assert len(found) == 3
    assert all(text.endswith(".") and "\n" not in text for text in found)


def test_with_one_row_there_is_one_choice_and_no_comparison(summary: Summary) -> None:
    rows: list[Row] = [summary.rows[0]]
    assert eligible(rows) == rows
    assert choose(rows, by_intervals).runner_up is None
    assert answers.does_quantization_cost(rows).startswith("Nothing was measured twice")
