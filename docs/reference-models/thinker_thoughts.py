"""Where an equation's result is written, and the hidden arithmetic that a thought could hold.

A thought is five digits. For sums, differences and products: units, carry, tens, carry, hundreds,
as in schoolbook arithmetic, least significant first. For quotients: long division's hundreds,
remainder, tens, remainder, units.
"""

import re
from collections.abc import Sequence

from problems import OPERATIONS
from sentencepiece import SentencePieceProcessor

EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+)$")
REACH = 12  # tokens before an equals sign that hold its equation
LIMIT = 999


def places(value: int) -> tuple[int, int, int]:
    """Units, tens and hundreds."""
    return value % 10, value // 10 % 10, value // 100 % 10


def thought_digits(left: int, op: str, right: int) -> tuple[int, int, int, int, int]:
    """The five digits that lead to `left op right`, a whole number from 0 to LIMIT."""
    units, tens, hundreds = places(OPERATIONS[op](left, right))
    if op == "+":
        carries = (left % 10 + right % 10) // 10, (left % 100 + right % 100) // 100
    elif op == "-":
        carries = int(left % 10 < right % 10), int(left % 100 < right % 100)
    elif op == "*":
        many, few = max(left, right), min(left, right)
        first = many % 10 * (few % 10) // 10
        carries = first, (many // 10 % 10 * few + first) // 10 % 10 if few < 10 else hundreds
    else:
        over = left // 100 % right, left // 10 % right
        return hundreds, over[0] % 10, tens, over[1] % 10, units
    return units, carries[0], tens, carries[1], hundreds


class Reader:
    """Finds the results of equations in token ids (the tokenizer has single digits)."""

    def __init__(self, pieces: SentencePieceProcessor) -> None:
        self.pieces = pieces
        self.digits = [pieces.piece_to_id(str(d)) for d in range(10)]
        self.equals, self.space = pieces.piece_to_id("▁="), pieces.piece_to_id("▁")

    def results(self, ids: Sequence[int]) -> dict[int, list[int]]:
        """The thought at every position whose next token is in a result or ends it."""
        found: dict[int, list[int]] = {}
        for t in range(len(ids) - 2):
            if ids[t] != self.equals or ids[t + 1] != self.space:
                continue
            match = EQUATION.search(self.pieces.decode(list(ids[max(0, t - REACH) : t])))
            if match is None:
                continue
            left, op, right = int(match[1]), match[2], int(match[3])
            if (op == "/" and not right) or not 0 <= OPERATIONS[op](left, right) <= LIMIT:
                continue
            thought = [self.digits[d] for d in thought_digits(left, op, right)]
            p = t + 1
            while p < len(ids) - 1:
                found[p] = thought
                if ids[p + 1] not in self.digits:
                    break
                p += 1
        return found
