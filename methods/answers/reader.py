"""Reading answers out of completions, and comparing them, as a task has them.

Two readings, as in lm-evaluation-harness: strict takes only an explicitly marked answer, flexible
falls back on what stands last in the text. Neither ever raises.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from methods.answers import choice, exact, gsm8k, latex
from methods.answers.marks import AnswerMark, marks
from methods.answers.tasks import TaskName

Rule = Literal["marker", "last-number", "last", "none"]

ASKS = re.compile(r"\n(?:Q|Question):|\n\n\n")  # a base model begins to invent the next question
STOPS = ("\nQ:", "\nQuestion:", "\n\n\n")  # the same, to end its path there
NEAR = 300  # characters from the end in which words about an answer are its conclusion


@dataclass(frozen=True, slots=True)
class Extraction:
    """The normalised answer of a completion and the rule that found it."""

    answer: str | None
    rule: Rule


class Kind(Protocol):
    """What the answers of a task are."""

    rule: Rule  # of an answer that is not marked

    def stated(self, mark: AnswerMark) -> str | None:
        """The answer right behind a mark."""
        ...

    def loose(self, mark: AnswerMark) -> str | None:
        """The answer in the sentence that a mark begins."""
        ...

    def last(self, text: str) -> str | None:
        """What looks like an answer and stands last."""
        ...

    def same(self, one: str, other: str) -> bool: ...

    def holds(self, text: str, answer: str) -> bool:
        """Whether an answer stands anywhere in a text."""
        ...


KINDS: dict[TaskName, Kind] = {"gsm8k": gsm8k, "math": latex, "choice": choice, "exact": exact}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads and compares the answers of a task. `marker`: what the model was told to mark them by.

    An answer comes in its normal form where its kind has one: equal numbers are equal texts.
    """

    task: TaskName = "gsm8k"
    marker: str | None = None
    chat: bool = False  # it ends by itself, and what looks like the next question is its own

    def read(self, completion: str) -> Extraction:
        """The answer of a completion: the last marked one, else the last one, else none.

        What follows a block of thoughts counts, and, unless it is a chat's, what stands before the
        next question, where that holds an answer.
        """
        return _read(self, completion)

    def states(self, text: str) -> bool:
        """Whether a text marks an answer."""
        kind = KINDS[self.task]
        return any(kind.stated(mark) is not None for mark in marks(text, self.marker))

    def same(self, one: str, other: str) -> bool:
        """Whether two answers have one value."""
        return KINDS[self.task].same(one, other)

    def holds(self, text: str, answer: str) -> bool:
        """Whether an answer stands anywhere in a text, said to be one or not."""
        return KINDS[self.task].holds(text, answer)

    def groups(self, answers: Sequence[str]) -> list[str]:
        """For each answer the first one of its value."""
        firsts: list[str] = []
        found = []
        for answer in answers:
            first = next((known for known in firsts if self.same(known, answer)), None)
            if first is None:
                first = answer
                firsts.append(answer)
            found.append(first)
        return found

    def read_part(self, text: str) -> Extraction:
        """The answer of a text that is read as a whole."""
        kind = KINDS[self.task]
        marked = marks(text, self.marker)
        for mark in reversed(marked):
            if (answer := kind.stated(mark)) is not None:
                return Extraction(answer, "marker")
        for mark in reversed(marked):
            if mark.start >= len(text) - NEAR and (answer := kind.loose(mark)) is not None:
                return Extraction(answer, kind.rule)
        if (answer := kind.last(text)) is not None:
            return Extraction(answer, kind.rule)
        return Extraction(None, "none")


NUMBERS = Reader()


@lru_cache(maxsize=1024)  # a vote reads its candidates strictly and flexibly, then shows them
def _read(reader: Reader, completion: str) -> Extraction:
    for part in _parts(completion, chat=reader.chat):
        found = reader.read_part(part)
        if found.answer is not None:
            return found
    return Extraction(None, "none")


def _parts(completion: str, *, chat: bool) -> list[str]:
    """The parts of a completion that may hold its answer, the likeliest first."""
    concluded = completion.rpartition("</think>")[2]
    asks = None if chat else ASKS.search(concluded)
    parts = [concluded[: asks.start()]] if asks else []
    return [*parts, concluded, *([completion] if concluded != completion else [])]
