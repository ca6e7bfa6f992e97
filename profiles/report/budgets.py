"""What accuracy a budget reaches: the frontier over all methods, and all of them at equal cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from methods import catalog
from methods.catalog import ProtocolName, Selection
from profiles.intervals import Paired
from profiles.records.configuration import wanted
from profiles.records.stored_run import Recorded
from profiles.report.accuracy import pair, row
from profiles.report.names import level_and_cache, level_name
from profiles.report.recovery import weights_and_cache
from profiles.report.row_comparison import Judge
from profiles.report.rows import Row

EQUAL = 0.1  # costs that differ by less, as a share of the reference's, are equal
REFERENCE = catalog.REBASE.name


@dataclass(frozen=True, slots=True)
class Currency:
    """What a budget is counted in."""

    name: str
    axis: str
    unit: str
    cost: Callable[[Row], float | None]  # of a question, on average


CURRENCIES = (
    Currency(
        "operations", "GFLOP a question, estimated", "GFLOP", lambda row: row.cost.gflop or None
    ),
    Currency("seconds", "seconds a question, mean", "s", lambda row: row.cost.latency_mean_s),
)


@dataclass(frozen=True, slots=True)
class FrontierStep:
    """A row that no cheaper one of its level equals."""

    row: Row
    cost: float
    sure: bool  # surely above the step before


@dataclass(frozen=True, slots=True)
class AtEqualCost:
    """A method where its cost is nearest to the reference's, and the two paired by question."""

    row: Row
    reference: Row
    times: float  # its cost over the reference's
    paired: Paired  # the method minus the reference

    @property
    def equal(self) -> bool:
        return abs(self.times - 1) <= EQUAL

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        theirs = {"against": self.reference.setup.method, "at_width": self.reference.setup.width}
        return _names(self.row) | theirs | {"times": self.times} | asdict(self.paired)


@dataclass(frozen=True, slots=True)
class Budgets:
    """What every method reaches for its cost in one currency."""

    currency: Currency
    rows: tuple[Row, ...]
    frontiers: dict[str, tuple[FrontierStep, ...]]  # of every level, the cheapest first
    pairs: tuple[AtEqualCost, ...]

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        steps = [step for frontier in self.frontiers.values() for step in frontier]
        return {
            "currency": self.currency.name,
            "frontier": [_names(s.row) | {"cost": s.cost, "sure": s.sure} for s in steps],
            "at_equal_cost": [one.document() for one in self.pairs],
        }


def budgets(
    measured: Sequence[Recorded], rows: Sequence[Row], methods: Sequence[str], judge: Judge
) -> Iterator[Budgets]:
    """Every currency that has a cost of all rows, at the levels where a method ran at two widths.

    `rows` are each method's own, under the fair protocol.
    """
    levels: dict[str, list[Row]] = {}
    for one in rows:
        levels.setdefault(level_name(one), []).append(one)
    levels = {k: v for k, v in levels.items() if any(len(curve) > 1 for curve in curves(v))}
    shown = [one for level in levels.values() for one in level]
    for currency in CURRENCIES:
        if shown and all(currency.cost(one) for one in shown):
            frontiers = {k: tuple(_frontier(v, currency, judge)) for k, v in levels.items()}
            pairs = tuple(_pairs(measured, methods, currency))
            yield Budgets(currency, tuple(shown), frontiers, pairs)


def curves(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each method, thinking alike on the same model, in their order."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for one in rows:
        found.setdefault((one.setup.method, one.setup.thinking, one.model), []).append(one)
    return list(found.values())


def _frontier(rows: Sequence[Row], currency: Currency, judge: Judge) -> Iterator[FrontierStep]:
    before: Row | None = None
    for one in sorted(rows, key=lambda r: (currency.cost(r) or 0.0, -r.accuracy.value)):
        if before is None or one.accuracy.value > before.accuracy.value:
            sure = before is not None and not judge(one, before).same
            yield FrontierStep(one, currency.cost(one) or 0.0, sure)
            before = one


@dataclass(frozen=True, slots=True)
class _Measured:
    run: Recorded
    selection: Selection
    row: Row
    cost: float


def _pairs(
    measured: Sequence[Recorded], methods: Sequence[str], currency: Currency
) -> Iterator[AtEqualCost]:
    """Each method beside each width of the reference, on the same models, thinking alike."""
    known = list(_known(measured, methods, currency))
    for base in (one for one in known if one.row.setup.method == REFERENCE):
        same = [one for one in known if _models(one.run) == _models(base.run)]
        for method in dict.fromkeys(one.row.setup.method for one in same):
            ours = [one for one in same if one.row.setup.method == method]
            near = min(ours, key=lambda one: abs(math.log(one.cost / base.cost)))
            paired = pair(base.run.records, near.run.records, near.selection, base.selection)
            if method != REFERENCE and paired is not None:
                yield AtEqualCost(near.row, base.row, near.cost / base.cost, paired)


def _known(
    measured: Sequence[Recorded], methods: Sequence[str], currency: Currency
) -> Iterator[_Measured]:
    for one in measured:
        if one.configuration.protocol is ProtocolName.FAIR:
            for selection in wanted(one.configuration, methods):
                made = row(one.configuration, one.process, one.records, selection)
                cost = currency.cost(made)
                if made.setup.method in methods and cost:
                    yield _Measured(one, selection, made, cost)


def _models(measured: Recorded) -> tuple[object, ...]:
    return *weights_and_cache(measured), measured.configuration.thinking


def _names(row: Row) -> dict[str, Any]:
    setup = row.setup
    level = {"format": setup.format, "level": level_and_cache(row)}
    return level | {"method": setup.method, "width": setup.width, "thinking": setup.thinking}
