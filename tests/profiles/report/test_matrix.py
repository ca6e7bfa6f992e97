"""The matrix of the first screen: every cell is its row, and its colour claims what it knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from profiles.report.answers import compared
from profiles.report.matrix import MatrixCell, matrix, texts
from profiles.report.names import method_name, short_level
from profiles.report.summary import summarize


def test_each_cell_is_its_row(run_folder: Path) -> None:
    rows = summarize(run_folder).rows
    found = matrix(rows, compared(rows), rows[0])
    assert found.titles == ("torch f32", "f16", "q8_0", "q4_k_m", "q3_k_s", "q2_k")
    assert [method for method, _ in found.lines] == [
        "greedy",
        "majority@8",
        "best-of-8",
        "weighted@8",
        "REBASE w=8",
    ]
    for method, cells in found.lines:
        for level, cell in zip(found.titles, cells, strict=True):
            assert cell is not None
            row = rows[cell.place]
            assert (short_level(row), method_name(row)) == (level, method)
            assert float(cell.accuracy) == round(100 * row.accuracy.value, 1)
            assert "sure" in cell.css or row.change is None or row.change.holds_zero
            assert ("loss" in cell.css) == (
                row.change is not None and row.change.delta_accuracy < 0
            )


def test_the_recommended_cell_is_marked_and_a_gap_stays_a_gap(run_folder: Path) -> None:
    rows = summarize(run_folder).rows
    shown = [row for row in compared(rows) if row is not rows[3]]
    found = matrix(rows, shown, rows[4])
    cells = [cell for _, line in found.lines for cell in line]
    assert [cell.place for cell in cells if cell and "chosen" in cell.css] == [4]
    assert cells.count(None) == 1
    assert [line.count("–") for line in texts(found)] == [0, 0, 0, 0, 0, 1]


def test_the_baseline_has_the_interval_of_its_accuracy(run_folder: Path) -> None:
    rows = summarize(run_folder).rows
    cell = matrix(rows, rows[:1], None).lines[0][1][0]
    assert cell == MatrixCell("82.0", "baseline", "[73.3, 88.3]", "none", 0)


def test_two_models_at_one_level_have_a_column_each(run_folder: Path) -> None:
    rows = [row for row in summarize(run_folder).rows if row.setup.level in ("f16", "q8_0")]
    other = [replace(row, model="mine.gguf") for row in rows if row.setup.level == "q8_0"]
    found = matrix([*rows, *other], compared([*rows, *other]), None)
    assert found.titles == ("f16", "q8_0, policy-q8_0.gguf", "q8_0, mine.gguf")
    assert all(None not in cells for _, cells in found.lines)
    thinking = [replace(row, setup=replace(row.setup, thinking="on")) for row in other]
    assert matrix([*rows, *thinking], [*rows, *thinking], None).titles == ("f16", "q8_0")
