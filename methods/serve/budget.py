"""The widest search that keeps a budget, from what searches took so far."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from methods.serve.errors import bad

Unit = Literal["tok", "s", "T"]
WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e[0-9]+)?)\s*(tok|tokens|s|T)")
FORGETS = 0.2  # weight of the newest search
FIRST: Mapping[Unit, float] = {"tok": 200.0, "s": 2.0, "T": 1.0}  # of one path, before any was seen


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may take: tokens of all models, seconds, or 10^12 floating-point operations."""

    amount: float
    unit: Unit


def parse(given: str | float) -> Budget:
    """`2000tok`, `5s`, `4T`, or a bare number of tokens.

    Raises:
        ApiError: for anything else.
    """
    if isinstance(given, str):
        found = WRITTEN.fullmatch(given.strip())
        amount, unit = (float(found[1]), found[2]) if found else (math.nan, "tok")
    else:
        amount, unit = float(given), "tok"
    if not 0 < amount < math.inf:
        raise bad(
            f"budget {str(given)[:40]!r} cannot be read; choose like 2000tok, 5s or 4T", "budget"
        )
    return Budget(amount, "tok" if unit == "tokens" else unit)  # type: ignore[arg-type]


@dataclass(slots=True)
class Costs:
    """What one path of a search takes here, in every unit: a running mean over past searches."""

    _mean: dict[tuple[str, Unit], float] = field(default_factory=dict)

    def book(self, method: str, width: int, took: Mapping[Unit, float]) -> None:
        """Learn from a search."""
        for unit, amount in took.items():
            before = self._mean.get((method, unit), amount / width)
            self._mean[method, unit] = before + FORGETS * (amount / width - before)

    def width(self, method: str, budget: Budget, most: int) -> int:
        """The widest search that keeps a budget by what is known; at least one path."""
        path = self._mean.get((method, budget.unit), FIRST[budget.unit])
        return max(1, min(most, int(budget.amount / path)))
