"""A figure over levels, one line a method, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

from profiles.intervals import Estimate
from profiles.report.drawing import INK, STYLE, Key, canvas, colour, legend, svg
from profiles.report.names import level_labels, method_name, search_name
from profiles.report.rows import Row

FILLS = {"off": "full", "gated": "left", "on": "none"}  # of a marker, by where it thinks
LINES: dict[str, Any] = {"off": "-", "gated": (0, (5, 2)), "on": (0, (1, 1.5))}
THINKS = {"off": "no thoughts", "gated": "gated", "on": "thinking"}


@dataclass(frozen=True, slots=True)
class Point:
    """A row with the figure that is drawn of it."""

    row: Row
    figure: Estimate


def over_levels(
    points: Sequence[Point],
    colours: Sequence[str],
    axis: str,
    *,
    none: float | None = None,
) -> str:
    """Points with their intervals; `colours` are the searches of the whole report in their order.

    Lines end where another file format begins. `none` is the figure that means no difference.
    """
    level = level_labels([point.row for point in points])
    levels = list(dict.fromkeys(level(point.row) for point in points))
    methods = list(dict.fromkeys(method_name(point.row) for point in points))
    with mpl.rc_context(STYLE):
        figure, axes = canvas()
        if none is not None:
            axes.axhline(none, color=INK, linewidth=1, zorder=1)
        for number, method in enumerate(methods):
            mine = [point for point in points if method_name(point.row) == method]
            shift = (number - (len(methods) - 1) / 2) * 0.6 / len(methods)
            thinking = mine[0].row.setup.thinking
            for line in _one_format(mine):
                axes.errorbar(
                    [levels.index(level(point.row)) + shift for point in line],
                    [point.figure.value for point in line],
                    _bars(line),
                    color=colour(colours.index(search_name(mine[0].row))),
                    marker="o",
                    markersize=5,
                    fillstyle=FILLS[thinking],
                    linestyle=LINES[thinking],
                    linewidth=1.6,
                    elinewidth=1,
                )
        axes.set_xticks(range(len(levels)), levels)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(axis)
        rows = [point.row for point in points]
        legend(figure, searches(rows, colours), thoughts(rows))
        return svg(figure, axis)


def searches(rows: Sequence[Row], colours: Sequence[str]) -> list[Key]:
    """What the colours mean."""
    used = {search_name(row) for row in rows}
    return [Key(colour(n), "o", name) for n, name in enumerate(colours) if name in used]


def thoughts(rows: Sequence[Row]) -> list[Key]:
    """What the fill of a marker means, where anything thinks."""
    used = {row.setup.thinking for row in rows}
    if used <= {"off"}:
        return []
    return [Key(INK, "o", THINKS[t], FILLS[t]) for t in FILLS if t in used]


def _one_format(points: Sequence[Point]) -> list[list[Point]]:
    """Apart by format; full precision, which all are compared with, begins the first."""
    lines: dict[str, list[Point]] = {}
    for point in points:
        name = "" if point.row.setup.format == "torch" else point.row.setup.format
        lines.setdefault(name, []).append(point)
    full = lines.pop("", [])
    first, *others = list(lines.values()) or [[]]
    return [full + first, *others]


def _bars(points: Sequence[Point]) -> list[list[float]]:
    """Lengths of the interval's arms below and above, (2, points)."""
    below = [max(0.0, point.figure.value - point.figure.low) for point in points]
    above = [max(0.0, point.figure.high - point.figure.value) for point in points]
    return [below, above]
