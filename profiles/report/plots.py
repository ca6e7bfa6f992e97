"""Accuracy over levels and over costs, as inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from methods.catalog import METHODS
from profiles.report.drawing import INK, PAPER, STYLE, Key, canvas, colour, legend, svg
from profiles.report.names import level_name, method_name, search_name
from profiles.report.rows import Row
from profiles.text_formats import significant, size

MARKERS = "osD^vPX*<>hp"
FILLS = {"off": "full", "gated": "left", "on": "none"}  # of a marker, by where it thinks
LINES: dict[str, Any] = {"off": "-", "gated": (0, (5, 2)), "on": (0, (1, 1.5))}
THINKS = {"off": "no thoughts", "gated": "gated", "on": "thinking"}
FRONT = (
    "Bars are 95 % intervals. The dashed line joins what no cheaper system beats, from the left:"
)


@dataclass(frozen=True, slots=True)
class Plot:
    """A title, one sentence below it, and the drawing."""

    title: str
    caption: str
    svg: str


def plots(rows: Sequence[Row]) -> list[Plot]:
    """All plots that the rows allow. Other selections of a tree would hide it: left out."""
    shown = [row for row in rows if row.setup.method in METHODS]
    drawn = [
        Plot(
            "Degradation by level",
            "Accuracy of each method from full precision down; bars are 95 % intervals.",
            degradation(shown),
        )
    ]
    for title, axis, cost, tick in COSTS:
        if all(cost(row) for row in shown):
            caption = f"{FRONT} {_front(shown, cost)}."
            drawn.append(Plot(title, caption, against(shown, axis, cost, tick)))
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
    return ", ".join(f"{_level(row)} {method_name(row)}" for row in _front_rows(rows, cost))


def degradation(rows: Sequence[Row]) -> str:
    """Accuracy over levels, one line a method; lines end where another file format begins."""
    levels = list(dict.fromkeys(_level(row) for row in rows))
    methods = list(dict.fromkeys(method_name(row) for row in rows))
    searches = list(dict.fromkeys(search_name(row) for row in rows))
    with mpl.rc_context(STYLE):
        figure, axes = canvas()
        for number, method in enumerate(methods):
            mine = [row for row in rows if method_name(row) == method]
            shift = (number - (len(methods) - 1) / 2) * 0.6 / len(methods)
            for line in _one_format(mine):
                axes.errorbar(
                    [levels.index(_level(row)) + shift for row in line],
                    [100 * row.accuracy.value for row in line],
                    _bars(line),
                    color=colour(searches.index(search_name(mine[0]))),
                    marker="o",
                    markersize=5,
                    fillstyle=FILLS[mine[0].setup.thinking],
                    linestyle=LINES[mine[0].setup.thinking],
                    linewidth=1.6,
                    elinewidth=1,
                )
        axes.set_xticks(range(len(levels)), levels)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("% right")
        legend(figure, _searches(searches), _thinking(rows))
        return svg(figure, "degradation")


def _one_format(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows apart by format; full precision, which all are compared with, begins the first."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault("" if row.setup.format == "torch" else row.setup.format, []).append(row)
    full = lines.pop("", [])
    first, *others = list(lines.values()) or [[]]
    return [full + first, *others]


def against(rows: Sequence[Row], axis: str, cost: Cost, tick: Tick) -> str:
    """Accuracy over a cost on a logarithmic axis; colours are methods, shapes are levels."""
    levels = list(dict.fromkeys(_level(row) for row in rows))
    searches = list(dict.fromkeys(search_name(row) for row in rows))
    costs = [float(cost(row) or 0) for row in rows]
    with mpl.rc_context(STYLE):
        figure, axes = canvas()
        for row, x in zip(rows, costs, strict=True):
            axes.errorbar(
                x,
                100 * row.accuracy.value,
                _bars([row]),
                color=colour(searches.index(search_name(row))),
                marker=MARKERS[levels.index(_level(row)) % len(MARKERS)],
                markersize=7.5,
                fillstyle=FILLS[row.setup.thinking],
                markerfacecoloralt=PAPER,
                elinewidth=0.6,
                linestyle="none",
            )
        front = _front_rows(rows, cost)
        axes.plot(
            [float(cost(row) or 0) for row in front],
            [100 * row.accuracy.value for row in front],
            color=INK,
            linestyle=(0, (4, 3)),
            linewidth=1,
            zorder=1,
        )
        _log_axis(axes, axis, tick)
        axes.set_ylabel("% right")
        shapes = [Key(INK, MARKERS[n % len(MARKERS)], level) for n, level in enumerate(levels)]
        legend(figure, _searches(searches), shapes, _thinking(rows))
        return svg(figure, axis)


def _bars(rows: Sequence[Row]) -> list[list[float]]:
    """Lengths of the interval's arms below and above, (2, rows)."""
    below = [100 * max(0.0, row.accuracy.value - row.accuracy.low) for row in rows]
    above = [100 * max(0.0, row.accuracy.high - row.accuracy.value) for row in rows]
    return [below, above]


def _log_axis(axes: Axes, label: str, tick: Tick) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(label)
    two = tick is size_tick  # binary units have round numbers at powers of two
    axes.xaxis.set_major_locator(LogLocator(base=2) if two else LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick(x)))


def _searches(names: Sequence[str]) -> list[Key]:
    return [Key(colour(number), "o", name) for number, name in enumerate(names)]


def _thinking(rows: Sequence[Row]) -> list[Key]:
    """What the fill of a marker means, where anything thinks."""
    used = {row.setup.thinking for row in rows}
    if len(used) < 2:
        return []
    return [Key(INK, "o", THINKS[t], FILLS[t]) for t in FILLS if t in used]


def _level(row: Row) -> str:
    return level_name(row) if row.setup.format == "torch" else row.setup.level
