"""Methods times levels: each cell an accuracy, coloured by its difference to full precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiles.report.names import level_labels, method_name
from profiles.report.rows import Row
from profiles.text_formats import NONE, percent, points

STEPS = (0.02, 0.05, 0.10, 0.25)  # of a difference, where its colour grows stronger


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A row of the report in three lines. `place` is its position among the rows."""

    accuracy: str
    change: str  # points against the baseline, or that it is the baseline
    interval: str
    css: str
    place: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """The levels, then a method and its cells a line; None where nothing was measured."""

    titles: tuple[str, ...]
    lines: tuple[tuple[str, tuple[MatrixCell | None, ...]], ...]


def matrix(rows: Sequence[Row], shown: Sequence[Row], chosen: Row | None) -> Matrix:
    """The shown ones of a report's rows."""
    methods = dict.fromkeys(method_name(row) for row in shown)
    level = level_labels(shown)
    levels = tuple(dict.fromkeys(map(level, shown)))
    cells = {
        (level(row), method_name(row)): _cell(row, rows.index(row), row == chosen) for row in shown
    }
    return Matrix(
        levels,
        tuple((method, tuple(cells.get((name, method)) for name in levels)) for method in methods),
    )


def _cell(row: Row, place: int, chosen: bool) -> MatrixCell:
    change, right = row.change, row.accuracy
    marked = " chosen" if chosen else ""
    if change is None:
        said = f"[{percent(right.low)}, {percent(right.high)}]"
        name = "baseline" if row.setup.baseline else "not compared"
        return MatrixCell(percent(right.value), name, said, f"none{marked}", place)
    sign = "" if change.holds_zero else " ▼" if change.delta_high < 0 else " ▲"
    return MatrixCell(
        percent(right.value),
        points(change.delta_accuracy) + sign,
        f"[{points(change.delta_low)}, {points(change.delta_high)}]",
        _tone(change.delta_accuracy, sure=not change.holds_zero) + marked,
        place,
    )


def _tone(difference: float, *, sure: bool) -> str:
    strength = sum(abs(difference) >= step for step in STEPS)
    if difference == 0:
        return "none"
    return f"{'loss' if difference < 0 else 'gain'}{strength}" + (" sure" if sure else "")


def texts(found: Matrix) -> list[list[str]]:
    """Titles and lines as texts, a cell in one line."""
    return [
        ["method", *found.titles],
        *(
            [method, *(f"{c.accuracy} ({c.change} {c.interval})" if c else NONE for c in cells)]
            for method, cells in found.lines
        ),
    ]
