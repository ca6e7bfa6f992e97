"""Two rows of a run against each other: by question where the records are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from methods import catalog
from methods.catalog import Selection
from profiles.intervals import Paired
from profiles.records.record import Record
from profiles.records.stored_run import Recorded, read_measured, read_run
from profiles.report.accuracy import pair
from profiles.report.rows import Row


@dataclass(frozen=True, slots=True)
class RowComparison:
    """Whether two accuracies can be told apart; `paired` is the first minus the second."""

    same: bool
    paired: Paired | None = None


Judge = Callable[[Row, Row], RowComparison]


def by_intervals(a: Row, b: Row) -> RowComparison:
    """By the intervals alone: cautious, since it forgets that the questions are the same."""
    return RowComparison(a.accuracy.low <= b.accuracy.high and b.accuracy.low <= a.accuracy.high)


def by_questions(folder: Path) -> Judge:
    """A judge that pairs the records of a run, and goes by intervals where it finds none.

    Raises:
        Refusal: if a file of the run is broken; names it.
    """
    try:
        return by_records(read_measured(folder, read_run(folder).configurations))
    except FileNotFoundError:
        return by_intervals


def by_records(measured: Sequence[Recorded]) -> Judge:
    """A judge that pairs these records, and goes by intervals where they do not tell."""

    def judge(a: Row, b: Row) -> RowComparison:
        ours, theirs = _records(measured, a), _records(measured, b)
        if ours is None or theirs is None:
            return by_intervals(a, b)
        paired = pair(theirs[1], ours[1], ours[0], theirs[0])
        if paired is None:
            return by_intervals(a, b)
        return RowComparison(paired.low <= 0 <= paired.high, paired)

    return judge


def _records(measured: Sequence[Recorded], row: Row) -> tuple[Selection, tuple[Record, ...]] | None:
    """The selection and the records behind a row; None where they are not one and only one."""
    found = [
        (selection, m.records)
        for m in measured
        for selection in m.configuration.selections
        if _is(m, selection, row)
    ]
    return found[0] if len(found) == 1 else None


def _is(measured: Recorded, selection: Selection, row: Row) -> bool:
    c, policy, theirs = measured.configuration, measured.process.policy, row.setup
    return (
        (c.format, policy.level, catalog.shown_name(c.spec.search, selection), c.spec.search)
        == (theirs.format, theirs.level, theirs.method, theirs.search)
        and (c.thinking, c.protocol, c.spec.width, c.seed, c.baseline, c.options.kv_type)
        == (
            *(theirs.thinking, theirs.protocol, theirs.width, theirs.seed, theirs.baseline),
            theirs.kv_type,
        )
        and policy.name == row.model
        and theirs.reward_level in (None, c.reward_level)
    )
