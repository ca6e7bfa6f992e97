"""The report as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from profiles.report import paper_table
from profiles.report.answers import compared
from profiles.report.columns import Column, columns
from profiles.report.header import facts, subtitle, title, warnings
from profiles.report.matrix import matrix
from profiles.report.names import level_name, method_name, search_name
from profiles.report.plots import plots
from profiles.report.questions import questions
from profiles.report.rows import Row
from profiles.report.screen import cards, verdicts
from profiles.report.summary import Flip, Summary
from profiles.templates import render
from profiles.tree.page import view

KEY = "level"  # the column that stays in view
FLIPS = "flips −/+"  # the column that leads to the questions


@dataclass(frozen=True, slots=True)
class Cell:
    """A text with its style class."""

    text: str
    css: str
    target: str | None  # where it leads


def page(summary: Summary) -> str:
    """The page; it loads nothing from anywhere."""
    shown = columns(summary.rows)
    rows = compared(summary.rows)
    colours = tuple(dict.fromkeys(search_name(row) for row in summary.rows))
    chosen = summary.choice.pick if summary.choice else None
    costs = plots(rows, colours, chosen)
    return render(
        "report/page.html.j2",
        title=title(summary),
        subtitle=subtitle(summary),
        warnings=warnings(summary),
        verdicts=verdicts(summary),
        cards=cards(summary.choice) if summary.choice else [],
        first=costs[0] if costs else None,
        matrix=matrix(summary.rows, rows, chosen),
        questions=[(question, question.drawn(colours)) for question in questions(summary)],
        other_plots=costs[1:],
        paper=paper_table.table(summary.rows) if summary.run.suite else [],
        others=summary.others,
        groups=_groups(shown),
        columns=[
            {"title": c.title, "meaning": c.meaning, "css": css}
            for c, css in zip(shown, _styles(shown), strict=True)
        ],
        lines=_lines(summary, shown),
        flips=_flips(summary),
        searches=_searches(summary),
        facts=facts(summary),
    )


def _groups(shown: Sequence[Column]) -> list[tuple[str, int, bool]]:
    """Name and width of every run of columns of one group."""
    return [(name, len(list(run)), False) for name, run in groupby(shown, lambda c: c.group)]


def _styles(shown: Sequence[Column]) -> list[str]:
    """Style classes of every column."""
    styles, before = [], ""
    for column in shown:
        names = ["n"] if column.number else []
        names += ["key"] if column.title == KEY else []
        names += ["first"] if column.group != before else []
        styles.append(" ".join(names))
        before = column.group
    return styles


def _lines(summary: Summary, shown: Sequence[Column]) -> list[dict[str, Any]]:
    lines, before = [], None
    for place, row in enumerate(summary.rows):
        model = (level_name(row), row.model)
        names = (["base"] if row.setup.baseline else []) + (["top"] if model != before else [])
        flipped = f"#flips-{place}" if summary.flips[place] else None
        cells = [
            Cell(
                column.cell(row),
                f"{css} {_colour(row, column)}".strip(),
                flipped if column.title == FLIPS else None,
            )
            for column, css in zip(shown, _styles(shown), strict=True)
        ]
        lines.append({"css": " ".join(names), "cells": cells, "place": place})
        before = model
    return lines


def _colour(row: Row, column: Column) -> str:
    """Whether a difference is sure, and which way."""
    change = row.change
    if not column.title.startswith("Δ") or change is None:
        return ""
    return "lost" if change.delta_high < 0 else "won" if change.delta_low > 0 else ""


def _flips(summary: Summary) -> list[dict[str, Any]]:
    """The flipped questions, by level and then by method, with their trees where these are here."""
    trees = {(s.level, s.method): f"#tree-{n}" for n, s in enumerate(summary.searches)}
    levels: dict[str, list[dict[str, Any]]] = {}
    for place, (row, flips) in enumerate(zip(summary.rows, summary.flips, strict=True)):
        if flips:
            name = level_name(row)
            levels.setdefault(name, []).append(
                {
                    "place": place,
                    "title": f"{method_name(row)}: {_count(flips)}",
                    "flips": flips,
                    "tree": trees.get((name, method_name(row))),
                }
            )
    return [
        {
            "title": f"{level}: {_count([flip for block in blocks for flip in block['flips']])}"
            " over all methods",
            "blocks": blocks,
        }
        for level, blocks in levels.items()
    ]


def _searches(summary: Summary) -> list[dict[str, Any]]:
    """The flipped trees, each with its view in the baseline and its view here."""
    return [
        {
            "title": f"{search.level}, {search.method}: question {search.flip.id} "
            f"{'lost' if search.flip.lost else 'won'}",
            "flip": search.flip,
            "views": [
                ("In the baseline", view(search.before, f"t{number}b-")),
                (f"At {search.level}", view(search.after, f"t{number}a-")),
            ],
        }
        for number, search in enumerate(summary.searches)
    ]


def _count(flips: Sequence[Flip]) -> str:
    lost = sum(flip.lost for flip in flips)
    return f"{lost} lost, {len(flips) - lost} won"
