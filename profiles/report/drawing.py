"""Drawings whose colours come from the page, so that they can be light or dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

INK, GRID, PAPER = "#010101", "#020202", "#040404"  # stand-ins, replaced by the page's colours
SIZE = (5.8, 4.0)  # inches
MARKERS = "osD^vPX*<>hp"
COLOURS = 8  # of the page
LETTERS = 92  # of a legend's line, with four for a marker
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.columnspacing": 0.8,
}


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend."""

    colour: str
    marker: str
    text: str
    fill: Any = "full"


def canvas() -> tuple[Figure, Axes]:
    """An empty drawing; make it within STYLE."""
    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.add_subplot()


def legend(figure: Figure, *lines: Sequence[Key]) -> None:
    """Entries below the drawing, each list on lines of its own."""
    longest = max(len(key.text) for line in lines for key in line)
    columns = max(1, min(6, max(map(len, lines)), LETTERS // (longest + 4)))
    padded = [[*line, *[Key("none", "", "")] * (-len(line) % columns)] for line in lines]
    cells = [entry for line in padded for entry in line]
    rows = len(cells) // columns
    ordered = [  # matplotlib fills column by column
        cells[row * columns + column] for column in range(columns) for row in range(rows)
    ]
    handles = [
        Line2D(
            [],
            [],
            color=key.colour,
            marker=key.marker,
            fillstyle=key.fill,
            markerfacecoloralt=PAPER,
            linestyle="none",
            label=key.text,
        )
        for key in ordered
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handletextpad=0.2)


def colour(number: int) -> str:
    """The stand-in of the page's colour of that number."""
    return f"#0303{number % COLOURS + 1:02x}"


def log_axis(axes: Axes, label: str, tick: Callable[[float], str], base: float = 10) -> None:
    """A logarithmic axis below, with round numbers of its base."""
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(LogLocator(base=base, subs=(1, 2, 5) if base == 10 else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: tick(x)))


def svg(figure: Figure, salt: str) -> str:
    """The drawing without its preamble, scalable, with the page's colours."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}), warnings.catch_warnings():
        # the reader's font draws the text, not the one that measures it here
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1, flags=re.DOTALL)
    meant = set(re.findall(r"#([\w-]+)", text))  # the other ids repeat from plot to plot
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in meant else "", text)
    for stand_in, name in ((INK, "ink"), (GRID, "line"), (PAPER, "paper")):
        text = text.replace(stand_in, f"var(--{name})")
    return re.sub(r"#0303(0[1-8])", lambda found: f"var(--c{int(found[1])})", text)
