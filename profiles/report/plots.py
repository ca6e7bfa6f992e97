"""Accuracy over costs, as inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes

from profiles.report.drawing import (
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
from profiles.report.names import method_name, search_name, short_level
from profiles.report.over_levels import FILLS, searches, thoughts
from profiles.report.rows import Row
from profiles.text_formats import significant, size


@dataclass(frozen=True, slots=True)
class Plot:
    """A title, the rows that no cheaper one beats, and the drawing."""

    title: str
    front: str
    svg: str


def plots(rows: Sequence[Row], colours: Sequence[str], chosen: Row | None) -> list[Plot]:
    """Accuracy over every cost that all rows have, time first."""
    drawn = []
    for title, axis, cost, tick in COSTS:
        if all(cost(row) for row in rows):
            drawing = against(rows, colours, axis, cost, tick, chosen)
            drawn.append(Plot(title, _front(rows, cost), drawing))
    return drawn


def size_tick(size_bytes: float) -> str:
    """A size without decimals that say nothing."""
    return size(size_bytes).replace(".00 ", " ").replace(".0 ", " ")


Cost = Callable[[Row], float | None]
Tick = Callable[[float], str]
COSTS: tuple[tuple[str, str, Cost, Tick], ...] = (
    (
        "Accuracy against time",
        "seconds a question, median",
        lambda row: row.cost.latency_p50_s,
        lambda x: significant(x, 2),
    ),
    (
        "Accuracy against memory on the card",
        "peak VRAM of the process",
        lambda row: row.memory.peak_vram_bytes,
        size_tick,
    ),
    (
        "Accuracy against main memory",
        "peak RSS of the process, libraries and both models in it",
        lambda row: row.memory.peak_rss_bytes,
        size_tick,
    ),
    (
        "Accuracy against computation",
        "GFLOP a question, estimated",
        lambda row: row.cost.gflop,
        lambda x: significant(x, 2),
    ),
    (
        "Accuracy against model size",
        "size of policy and reward model",
        lambda row: row.memory.file_bytes,
        size_tick,
    ),
)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points (cost, gain) that none beats: no cheaper one gains as much."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for i in order:
        if not front or points[i][1] > points[front[-1]][1]:
            front.append(i)
    return front


def _front_rows(rows: Sequence[Row], cost: Cost) -> list[Row]:
    return [rows[i] for i in pareto([(float(cost(row) or 0), row.accuracy.value) for row in rows])]


def _front(rows: Sequence[Row], cost: Cost) -> str:
    return ", ".join(f"{short_level(row)} {method_name(row)}" for row in _front_rows(rows, cost))


def against(
    rows: Sequence[Row],
    colours: Sequence[str],
    axis: str,
    cost: Cost,
    tick: Tick,
    chosen: Row | None = None,
) -> str:
    """Accuracy over a cost on a logarithmic axis; colours are methods, shapes are levels.

    A ring is around the chosen row. Only what is on the front shows its interval.
    """
    levels = list(dict.fromkeys(short_level(row) for row in rows))
    front = _front_rows(rows, cost)
    with mpl.rc_context(STYLE):
        figure, axes = canvas()
        for row in rows:
            axes.errorbar(
                float(cost(row) or 0),
                100 * row.accuracy.value,
                _bars([row]) if row in front else None,
                color=colour(colours.index(search_name(row))),
                marker=MARKERS[levels.index(short_level(row)) % len(MARKERS)],
                markersize=7.5,
                fillstyle=FILLS[row.setup.thinking],
                markerfacecoloralt=PAPER,
                elinewidth=0.6,
                linestyle="none",
            )
            if row == chosen:
                _ring(axes, float(cost(row) or 0), 100 * row.accuracy.value)
        axes.plot(
            [float(cost(row) or 0) for row in front],
            [100 * row.accuracy.value for row in front],
            color=INK,
            linestyle=(0, (4, 3)),
            linewidth=1,
            zorder=1,
        )
        # binary units have round numbers at powers of two
        log_axis(axes, axis, tick, 2 if tick is size_tick else 10)
        axes.set_ylabel("% right")
        shapes = [Key(INK, MARKERS[n % len(MARKERS)], level) for n, level in enumerate(levels)]
        legend(figure, searches(rows, colours), shapes, thoughts(rows))
        return svg(figure, axis)


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.plot(x, y, "o", markersize=17, fillstyle="none", color=INK, markeredgewidth=1.4)


def _bars(rows: Sequence[Row]) -> list[list[float]]:
    """Lengths of the interval's arms below and above, (2, rows)."""
    below = [100 * max(0.0, row.accuracy.value - row.accuracy.low) for row in rows]
    above = [100 * max(0.0, row.accuracy.high - row.accuracy.value) for row in rows]
    return [below, above]
