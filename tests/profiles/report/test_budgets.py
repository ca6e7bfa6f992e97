"""Accuracy over budgets: curves, the frontier, and every method at equal cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from profiles.report.budgets import Budgets
from profiles.report.questions import questions
from profiles.report.summary import Summary, summarize
from profiles.report.write import write

RIGHT = {  # of 40 questions, by search and width
    ("greedy", 1): 20,
    ("sample", 2): 18,
    ("sample", 8): 24,
    ("rebase", 2): 26,
    ("rebase", 8): 32,
    ("beam", 8): 20,
}


def right(selections: Sequence[str], count: int, number: int) -> dict[str, bool]:
    """Majority is two questions behind the other choices of the same samples."""
    return {s: number < count - (2 if s == "majority" else 0) for s in selections}


@pytest.fixture
def folder(
    tmp_path: Path,
    configuration: Callable[..., Any],
    process: Callable[..., Any],
    record: Callable[..., Any],
    stored: Callable[..., None],
) -> Path:
    measured = []
    for (search, width), count in RIGHT.items():
        made = configuration(search, width=width)
        records = [record(n, made, right(made.selections, count, n)) for n in range(40)]
        measured.append((made, process(judged=search != "greedy"), records))
    methods = ("greedy", "majority", "weighted", "rebase", "beam")
    stored(tmp_path / "run", measured, methods)
    return tmp_path / "run"


@pytest.fixture
def summary(folder: Path) -> Summary:
    return summarize(folder)


def named(found: Budgets) -> list[tuple[str, int]]:
    (frontier,) = found.frontiers.values()
    return [(step.row.setup.method, step.row.setup.width) for step in frontier]


def test_the_frontier_holds_what_no_cheaper_row_equals(summary: Summary) -> None:
    operations, seconds = summary.budgets
    assert (operations.currency.name, seconds.currency.name) == ("operations", "seconds")
    wanted = [("greedy", 1), ("rebase", 2), ("rebase", 8)]
    assert named(operations) == wanted
    (frontier,) = operations.frontiers.values()
    assert [step.cost for step in frontier] == sorted(step.cost for step in frontier)
    assert [step.sure for step in frontier] == [False, True, True]  # 6 of 40 won, none lost


def test_each_method_stands_beside_each_width_of_the_tree_at_the_nearest_cost(
    summary: Summary,
) -> None:
    operations = summary.budgets[0]
    found = {
        (p.row.setup.method, p.row.setup.width, p.reference.setup.width): p
        for p in operations.pairs
    }
    assert set(found) == {
        ("greedy", 1, 2),
        ("greedy", 1, 8),
        ("majority", 8, 2),
        ("majority", 8, 8),
        ("weighted", 2, 2),
        ("weighted", 8, 8),
        ("beam", 8, 2),
        ("beam", 8, 8),
    }
    beam = found["beam", 8, 8]
    assert beam.equal
    assert (beam.paired.lost, beam.paired.won) == (12, 0)
    assert beam.times == pytest.approx(1)
    vote = found["majority", 8, 8]  # no reward model is charged: it is far cheaper
    assert not vote.equal
    assert vote.times < 0.6
    assert vote.paired.lost - vote.paired.won == 32 - 22


def test_sentences_claim_only_what_is_equal_and_sure(summary: Summary) -> None:
    asked = [q for q in questions(summary) if q.budgets]
    assert [q.asks for q in asked] == [
        "Which method for which budget of operations?",
        "Which method for which budget of seconds?",
    ]
    said = asked[0].answer
    assert said.startswith(
        "At equal operations nothing is surely above REBASE and 3 are (weighted@2 −20.0, "
    )
    assert "beam n=8 −30.0) surely below, of 3 comparisons within 10 % of its cost." in said
    assert "The frontier, the cheapest first: at gguf q4_k_m greedy (50.0 % for " in said
    assert len(asked[0].table) == 1 + len(summary.budgets[0].pairs)


def test_one_curve_a_method_with_a_band_and_all_in_both_reports(folder: Path) -> None:
    summary = write(folder)
    drawn = next(q for q in questions(summary) if q.budgets).drawn(())
    bands = re.findall(r"opacity: 0\.06", drawn)
    assert len(bands) == 5  # greedy, majority, weighted, rebase, beam; single rows have bars
    for name in ("greedy", "majority", "weighted", "rebase", "beam"):
        assert f">{name}</text>" in drawn
    page, text = (folder / "index.html").read_text(), (folder / "report.md").read_text()
    assert "Bands are 95 % intervals." in page
    assert "## Which method for which budget of operations?" in text
    assert '"at_equal_cost"' in (folder / "summary.json").read_text()


def test_one_width_a_method_makes_no_section(run_folder: Path) -> None:
    summary = summarize(run_folder)
    assert summary.budgets == ()
    assert "budgets" not in summary.document()
