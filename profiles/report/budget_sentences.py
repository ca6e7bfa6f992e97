"""Which method for which budget, in sentences and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from methods import catalog
from profiles.report.budgets import EQUAL, REFERENCE, AtEqualCost, Budgets, FrontierStep
from profiles.report.columns import accuracy_cell
from profiles.report.names import level_name, method_name
from profiles.text_formats import (
    listed,
    p_value,
    percent,
    points,
    significant,
    with_interval,
)

TREE, _, _ = catalog.METHODS[REFERENCE].label.partition(" ")


def answer(found: Budgets) -> str:
    """What is surely above or below the reference at equal cost, and the frontier."""
    name, pairs = found.currency.name, [one for one in found.pairs if one.equal]
    above = [one for one in pairs if one.paired.low > 0]
    below = [one for one in pairs if one.paired.high < 0]
    said = (
        f"At equal {name} {_counted(above)} surely above {TREE} and {_counted(below)} surely "
        f"below, of {len(pairs)} comparisons within {percent(EQUAL, 0)} % of its cost. "
        if pairs
        else ""
    )
    unit = found.currency.unit
    frontiers = [_frontier(level, steps, unit) for level, steps in found.frontiers.items()]
    return f"{said}The frontier, the cheapest first: {'; '.join(frontiers)}."


def sentences(found: Budgets) -> list[str]:
    """Which steps up on the frontiers are sure, and what the table pairs."""
    steps = [step for frontier in found.frontiers.values() for step in frontier if step.sure]
    names = [f"{level_name(step.row)} {method_name(step.row)}" for step in steps]
    said = f"Surely above the one before it on the frontier: {listed(names or ['none'])}."
    if not found.pairs:
        return [said]
    return [
        said,
        f"Each method stands beside each width of {TREE}, at that of its widths whose "
        f"{found.currency.name} a question are the nearest; the difference is the method's minus "
        f"{TREE}'s, paired by question.",
    ]


def table(found: Budgets) -> list[list[str]]:
    """Titles, and a line for every method beside every width of the reference."""
    titles = ["level", f"method, beside {TREE}", f"times its {found.currency.name}"]
    titles += ["% right [95 % CI]", "points [95 % CI]", "flips −/+", "McNemar p"]
    return [titles, *map(_line, found.pairs)] if found.pairs else []


def _line(one: AtEqualCost) -> list[str]:
    paired = one.paired
    return [
        level_name(one.row),
        f"{method_name(one.row)}, beside {method_name(one.reference)}",
        significant(one.times),
        accuracy_cell(one.row),
        with_interval(points(paired.difference), paired.low, paired.high, sign=True),
        f"−{paired.lost} / +{paired.won}",
        p_value(paired.mcnemar_p),
    ]


def _frontier(level: str, steps: Sequence[FrontierStep], unit: str) -> str:
    said = [
        f"{method_name(step.row)} ({percent(step.row.accuracy.value)} % for "
        f"{significant(step.cost, 2)} {unit})"
        for step in steps
    ]
    return f"at {level} {listed(said)}"


def _counted(pairs: Sequence[AtEqualCost]) -> str:
    """`nothing is`, or how many methods and widths, with their names and differences."""
    if not pairs:
        return "nothing is"
    named = [f"{method_name(one.row)} {points(one.paired.difference)}" for one in pairs]
    return f"{len(pairs)} {'is' if len(pairs) == 1 else 'are'} ({', '.join(named)})"
