"""Accuracy over a budget, one curve a method, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes

from methods.catalog import METHODS
from profiles.report.budgets import Budgets, curves
from profiles.report.drawing import (
    COLOURS,
    INK,
    MARKERS,
    PAPER,
    STYLE,
    Key,
    canvas,
    colour,
    legend,
    log_axis,
    svg,
)
from profiles.report.names import THINKING, level_name
from profiles.report.over_levels import FILLS
from profiles.report.rows import Row
from profiles.text_formats import significant

BAND = 0.06  # opacity: many lie on each other


def over_budgets(found: Budgets, level: str) -> str:
    """The methods at one level; bands are intervals, the dashed line is the frontier."""
    rows = [row for row in found.rows if level_name(row) == level]
    axis = found.currency.axis
    with mpl.rc_context(STYLE):
        figure, axes = canvas()
        keys = [_curve(axes, found, curve) for curve in curves(rows)]
        frontier = found.frontiers[level]
        axes.plot(
            [step.cost for step in frontier],
            [100 * step.row.accuracy.value for step in frontier],
            color=INK,
            linestyle=(0, (4, 3)),
            linewidth=1,
            zorder=1,
        )
        log_axis(axes, axis, lambda x: significant(x, 2))
        axes.set_ylabel("% right")
        legend(figure, keys)
        return svg(figure, axis)


def _curve(axes: Axes, found: Budgets, rows: Sequence[Row]) -> Key:
    """Draw a method; a single row of it shows its interval as a bar."""
    first = rows[0]
    place = list(METHODS).index(first.setup.method)
    look, mark = colour(place), MARKERS[place % len(MARKERS)]
    fill = FILLS[first.setup.thinking]
    along = sorted(rows, key=lambda row: found.currency.cost(row) or 0.0)
    costs = [found.currency.cost(row) or 0.0 for row in along]
    low = [100 * row.accuracy.low for row in along]
    high = [100 * row.accuracy.high for row in along]
    if len(rows) == 1:
        axes.vlines(costs, low, high, color=look, linewidth=0.8)
    axes.fill_between(costs, low, high, color=look, alpha=BAND, linewidth=0)
    axes.plot(
        costs,
        [100 * row.accuracy.value for row in along],
        color=look,
        marker=mark,
        markersize=5,
        fillstyle=fill,
        markerfacecoloralt=PAPER,
        linestyle="-" if place < COLOURS else (0, (5, 1.5)),
        linewidth=1.4,
    )
    return Key(look, mark, first.setup.method + THINKING[first.setup.thinking], fill)
