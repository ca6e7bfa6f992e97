"""Repeated n-grams: a text that has begun to go round in a circle seldom leaves it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

GRAM = 4  # tokens by which an earlier place is found again
COPIES = 3  # of a repeated block, after its first one, that make a loop
LEAST = 32  # repeated tokens that make a loop, however short the block


@dataclass(slots=True)
class LoopWatch:
    """Tells, token by token, when the end of a text repeats itself; constant work a token."""

    tokens: list[int] = field(default_factory=list)
    repeated: int = 0  # tokens at the end that stand `period` places earlier too
    period: int = 0
    places: dict[tuple[int, ...], int] = field(default_factory=dict)  # of the last of each n-gram

    def take(self, token: int) -> bool:
        """Whether the text loops with this token: one block stands four times at its end."""
        tokens, period = self.tokens, self.period
        tokens.append(token)
        if period and token == tokens[-1 - period]:
            self.repeated += 1
        else:
            self.repeated = self.period = 0
        end = len(tokens)
        if end >= GRAM:
            gram = tuple(tokens[-GRAM:])
            if not self.period and gram in self.places:
                self.period, self.repeated = end - self.places[gram], GRAM
            self.places[gram] = end
        return bool(self.period) and self.repeated >= max(COPIES * self.period, LEAST)


def loops(tokens: Iterable[int]) -> bool:
    """Whether a text loops at its end or did somewhere before."""
    watch = LoopWatch()
    return any(watch.take(token) for token in tokens)
