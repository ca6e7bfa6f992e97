"""Reading answers out of completions, and comparing them.

Two readings, as in lm-evaluation-harness: strict takes only an explicitly marked answer, flexible
falls back on the last number of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from convert.refusal import Refusal

Rule = Literal["marker", "last-number", "none"]

GOLD = re.compile(r"####\s*(-?[0-9.,]+)")
MARKED = re.compile(
    r"(?:####|[Tt]he (?:final )?answer(?: \(arabic numerals\))? is:?|\\boxed\{)"
    r"[\s*$]*(-?[0-9][0-9,]*(?:\.[0-9]+)?)"
)
NUMBER = re.compile(r"-?\$?[0-9][0-9,]*(?:\.[0-9]+)?")
CUTS = ("Q:", "Question:", "\n\n\n")  # where a base model starts to invent the next question


@dataclass(frozen=True, slots=True)
class Extraction:
    """The normalised answer of a completion and the rule that found it."""

    answer: str | None
    rule: Rule


def gold_answer(text: str) -> str:
    """The number after `####`, normalised.

    Raises:
        Refusal: if there is none.
    """
    found = GOLD.findall(text)
    if not found:
        raise Refusal("no '#### N' in the answer")
    return normalise(found[-1])


def normalise(number: str) -> str:
    """A number without `$ , %`, sign and decimals kept: `$1,080.00` and `1080` are one answer."""
    plain = number.strip().replace(",", "").replace("$", "").replace("%", "").rstrip(".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return plain
    return format(
        value.quantize(Decimal(1)) if value == value.to_integral() else value.normalize(), "f"
    )


def extract(completion: str) -> Extraction:
    """The answer of a completion: the last marked one, else the last number, else none."""
    for cut in CUTS:
        completion = completion.split(cut, 1)[0]
    if marked := MARKED.findall(completion):
        return Extraction(normalise(marked[-1]), "marker")
    if numbers := NUMBER.findall(completion):
        return Extraction(normalise(numbers[-1]), "last-number")
    return Extraction(None, "none")
