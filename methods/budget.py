"""What an answer may take, the same for every method: all its models' work counts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from convert.refusal import Refusal

Unit = Literal["tok", "s", "T"]  # tokens, seconds, 10^12 floating-point operations
WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)\s*(tok|tokens|s|T|G)")
MOST = 1e18  # of any unit: more than anybody has, and divided by a path's cost a finite number
WORDS: dict[Unit, str] = {"tok": "tokens", "s": "s", "T": "TFLOP"}


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on the work of one answer: policy, thoughts and reward model together.

    It is looked at between stages of a tree and waves of samples, so that what has begun is
    finished; what was spent beyond it is told, not hidden.
    """

    amount: float
    unit: Unit

    def __str__(self) -> str:
        return amount_text(self.amount, self.unit)


def amount_text(amount: float, unit: Unit) -> str:
    """As people read it: `2000 tokens`, `5 s`, `4 TFLOP`, `250 GFLOP`."""
    if unit == "T" and amount < 1:
        return f"{1000 * amount:.4g} GFLOP"
    return f"{amount:.4g} {WORDS[unit]}" if amount < 1000 else f"{amount:.0f} {WORDS[unit]}"


def parse(given: str | float) -> Budget:
    """`2000tok`, `5s`, `4T`, `250G`, or a bare number of tokens.

    Raises:
        Refusal: for anything else.
    """
    if isinstance(given, str):
        found = WRITTEN.fullmatch(given.strip())
        amount, unit = (float(found[1]), found[2]) if found else (math.nan, "tok")
    else:
        amount, unit = float(given), "tok"
    if not 0 < amount <= MOST:
        raise Refusal(
            f"budget {str(given)[:40]!r} cannot be read; choose like 2000tok, 5s, 4T or 250G "
            "(10^12 and 10^9 operations)"
        )
    if unit == "G":
        return Budget(amount / 1000, "T")
    return Budget(amount, "tok" if unit == "tokens" else unit)  # type: ignore[arg-type]
