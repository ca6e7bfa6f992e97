"""The widest search that keeps a budget, from what searches took so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from convert.refusal import Refusal
from methods import budget
from methods.budget import Budget, Unit
from methods.serve.errors import bad

FORGETS = 0.2  # weight of the newest search
FIRST: Mapping[Unit, float] = {"tok": 200.0, "s": 2.0, "T": 1.0}  # of one path, before any was seen


def parse(given: str | float) -> Budget:
    """`2000tok`, `5s`, `4T`, or a bare number of tokens.

    Raises:
        ApiError: for anything else.
    """
    try:
        return budget.parse(given)
    except Refusal as error:
        raise bad(str(error), "budget") from error


@dataclass(slots=True)
class Costs:
    """What one path of a search takes here, in every unit: a running mean over past searches."""

    _mean: dict[tuple[str, Unit], float] = field(default_factory=dict)

    def book(self, method: str, paths: int, took: Mapping[Unit, float]) -> None:
        """Learn from a search that was not cut short."""
        for unit, amount in took.items():
            path = amount / max(1, paths)
            before = self._mean.get((method, unit), path)
            self._mean[method, unit] = before + FORGETS * (path - before)

    def width(self, method: str, budget: Budget, most: int) -> int:
        """The widest search that keeps a budget by what is known; at least one path."""
        path = self._mean.get((method, budget.unit), FIRST[budget.unit])
        return max(1, min(most, int(budget.amount / path)))
