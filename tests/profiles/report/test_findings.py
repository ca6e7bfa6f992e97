"""Sentences claim no more than their intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from profiles.intervals import compare
from profiles.report.findings import (
    baseline_sentence,
    degradations,
    trees_against_majority,
    undetected,
)
from profiles.report.header import warnings
from profiles.report.rows import Change
from profiles.report.summary import Comparison, Summary, summarize


@pytest.fixture
def summary(run_folder: Path) -> Summary:
    return summarize(run_folder)


def comparison(ours: float, theirs: float, wins: int, losses: int = 0) -> Comparison:
    before = [True] * losses + [False] * (100 - losses)
    after = [False] * losses + [True] * wins + [False] * (100 - losses - wins)
    paired = compare(before, after)
    return Comparison("gguf", "q4_k_m", "rebase", 8, 8, ours, theirs, 0.8, 0.7, paired)


def test_an_interval_with_zero_is_no_difference_and_says_what_it_could_see() -> None:
    assert undetected("f16", Change(-0.01, -0.049, 0.03, 100, 2, 1, 1.0)) == (
        "f16: no difference detected; a drop above 4.9 points would have been"
    )


def test_only_intervals_without_zero_are_losses(summary: Summary) -> None:
    sentences = degradations(summary.rows)
    assert len(sentences) == 7
    for sentence in sentences:
        method = sentence.split(" — ")[0]
        assert "q2_k loses" in sentence, method
        assert "f16 loses" not in sentence
        assert "no difference detected" in sentence


def test_the_baseline_is_named(summary: Summary) -> None:
    assert baseline_sentence(summary).startswith("The baseline is full precision")
    rows = tuple(replace(row, setup=replace(row.setup, format="gguf")) for row in summary.rows)
    files = replace(summary, rows=rows)
    assert "no full-precision run" in baseline_sentence(files)
    assert any("no full-precision run" in warning for warning in warnings(files))
    assert warnings(summary) == []


def test_rebase_wins_only_at_equal_or_fewer_tokens() -> None:
    assert trees_against_majority([comparison(400, 410, 20)])[0].startswith("A tree search beats")
    assert "every interval holds zero" in trees_against_majority([comparison(400, 410, 2, 1)])[0]
    dearer = trees_against_majority([comparison(800, 400, 20)])
    assert dearer[0].startswith("Nowhere")
    assert "100 % more tokens" in dearer[1]
    assert trees_against_majority([]) == []


def test_each_tree_meets_the_vote_of_the_nearest_cost() -> None:
    near = comparison(400, 390, 20)
    far = replace(comparison(400, 50, 20), majority_width=1)
    lines = trees_against_majority([far, near])
    assert len(lines) == 2
    assert "majority@8" in lines[1]


def test_unanswered_questions_are_warned_of(summary: Summary) -> None:
    short = replace(summary, run=replace(summary.run, questions=120))
    assert any("Not all 120 questions" in warning for warning in warnings(short))
