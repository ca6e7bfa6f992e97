"""What thinking gained for its operations: against the same search, and against the best rival."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from methods.catalog import ProtocolName, Selection
from profiles.intervals import Paired
from profiles.records.configuration import wanted
from profiles.records.stored_run import Recorded
from profiles.report.accuracy import pair, row
from profiles.report.names import level_name
from profiles.report.rows import Row

EQUAL = 1.05  # operations that exceed others by less are equal


@dataclass(frozen=True, slots=True)
class WithoutThoughts:
    """A row without thoughts, and the paired difference to it."""

    row: Row
    paired: Paired


@dataclass(frozen=True, slots=True)
class Effect:
    """A thinking row, the same search without thoughts, and the best of all for its operations."""

    row: Row
    same: WithoutThoughts | None
    rival: WithoutThoughts | None


def effects(measured: Sequence[Recorded], methods: Collection[str]) -> list[Effect]:
    """One for every thinking configuration of the fair protocol, by its main selection.

    Where these methods do not show that, by the first that they do.
    """
    plain = [found for one in measured if _plays(one, thinking=False) for found in _rows(one)]
    made = []
    for one in measured:
        asked = wanted(one.configuration, methods)
        if asked and _plays(one, thinking=True):
            main = one.configuration.primary
            selection = main if main in asked else asked[0]
            own = row(one.configuration, one.process, one.records, selection)
            here = [p for p in plain if level_name(p.row) == level_name(own)]
            made.append(_effect(own, one, selection, here))
    return made


@dataclass(frozen=True, slots=True)
class _Plain:
    row: Row
    measured: Recorded
    selection: Selection

    def versus(self, one: Recorded, selection: Selection) -> WithoutThoughts | None:
        paired = pair(self.measured.records, one.records, selection, self.selection)
        return WithoutThoughts(self.row, paired) if paired else None


def _effect(own: Row, one: Recorded, selection: Selection, plain: Sequence[_Plain]) -> Effect:
    same = [
        p
        for p in plain
        if (p.row.setup.method, p.row.setup.width) == (own.setup.method, own.setup.width)
    ]
    limit = EQUAL * (own.cost.flops_per_question or 0)
    cheap = [p for p in plain if (p.row.cost.flops_per_question or 0) <= limit]
    best = max(cheap, key=lambda p: p.row.accuracy.value, default=None)
    return Effect(
        own,
        same[0].versus(one, selection) if same else None,
        best.versus(one, selection) if best else None,
    )


def _plays(measured: Recorded, *, thinking: bool) -> bool:
    configuration = measured.configuration
    return (
        configuration.protocol is ProtocolName.FAIR
        and (configuration.thinking != "off") == thinking
    )


def _rows(measured: Recorded) -> Iterator[_Plain]:
    for selection in measured.configuration.selections:
        found = row(measured.configuration, measured.process, measured.records, selection)
        yield _Plain(found, measured, selection)
