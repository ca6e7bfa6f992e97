"""The first screen of a report: three sentences, and the row to use beside its runner-up."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.report.answers import (
    does_quantization_cost,
    does_search_pay,
    which_row,
)
from profiles.report.choice import RowChoice
from profiles.report.names import row_name
from profiles.report.rows import Row
from profiles.report.summary import Summary
from profiles.text_formats import percent, points, significant, size, with_interval


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """One of the three sentences, and what it is about."""

    about: str
    text: str


@dataclass(frozen=True, slots=True)
class RowCard:
    """A row as a card: what it is here, its name, names and values of its figures."""

    role: str
    name: str
    figures: tuple[tuple[str, str], ...]


def verdicts(summary: Summary) -> list[ShortAnswer]:
    """What a run says, in three sentences at most."""
    found = [ShortAnswer("Does quantization cost?", does_quantization_cost(summary.rows))]
    if summary.gains:
        found.append(ShortAnswer("Does search pay?", does_search_pay(summary.gains)))
    if summary.choice is not None:
        found.append(ShortAnswer("What to use?", which_row(summary.choice, summary.rows)))
    return found


def cards(choice: RowChoice) -> list[RowCard]:
    """The row to use, its runner-up, and the faster one where it is another."""
    found = [_card("Recommended", choice.pick)]
    if choice.runner_up is not None:
        found.append(_card("Runner-up", choice.runner_up))
    if choice.thrifty is not None and choice.thrifty != choice.runner_up:
        found.append(_card("Faster, not told apart", choice.thrifty))
    return found


def _card(role: str, row: Row) -> RowCard:
    figures = [
        ("right", f"{percent(row.accuracy.value)} %"),
        ("s a question", significant(row.cost.latency_p50_s, 2)),
        ("model files", size(row.memory.file_bytes)),
    ]
    if row.change is not None:
        change = row.change
        figures.insert(
            1,
            (
                "points to the baseline",
                with_interval(
                    points(change.delta_accuracy), change.delta_low, change.delta_high, sign=True
                ),
            ),
        )
    return RowCard(role, row_name(row), tuple(figures))
