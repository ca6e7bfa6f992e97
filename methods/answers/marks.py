"""Where a completion says that something is its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from methods.answers.plain import boxes

COPULA = r"(?:\bis\b|\bare\b|\bequals\b|\b(?:would|will|should|must) be\b|[:=])"
SAID = (
    r"####|<answer>"
    r"|\b(?:final |correct |right )?answer\"?(?: \(arabic numerals\))?"
    rf"(?: (?:to|for) [^.:\n]{{1,60}}?)?(?:\s*{COPULA}(?:\s*{COPULA})?| - )"
    r"|(?:^|\n)#{1,6} *(?:final )?answer *(?=\n)"
)
EMPHASIS = re.compile(r"\*\*|__")


@dataclass(frozen=True, slots=True)
class AnswerMark:
    """What a text marks as its answer: a box's inside, or all that follows some words."""

    start: int
    content: str
    boxed: bool = False


def marks(text: str, marker: str | None = None) -> list[AnswerMark]:
    r"""The marks of a text in its order; what follows words ends at the next mark's words.

    They are `####`, `The answer is`, `Answer:`, `\boxed{}` and their likes, and a model's own
    `marker`.
    """
    text = EMPHASIS.sub("", text)
    found = list(_words(marker).finditer(text))
    starts = [*(words.start() for words in found), len(text)]
    said = [
        AnswerMark(words.start(), text[words.end() : end])
        for words, end in zip(found, starts[1:], strict=True)
    ]
    boxed = [AnswerMark(start, inside, boxed=True) for start, _, inside in boxes(text)]
    return sorted([*said, *boxed], key=lambda mark: mark.start)


def unboxed(text: str) -> str:
    """A text with the insides of its boxes in their place."""
    parts, end = [], 0
    for start, stop, inside in boxes(text):
        parts += [text[end:start], inside]
        end = stop
    return "".join([*parts, text[end:]])


@lru_cache(maxsize=16)
def _words(marker: str | None) -> re.Pattern[str]:
    own = marker.strip().rstrip(":").rstrip() if marker else ""
    said = rf"{re.escape(own)}(?:\s*{COPULA}){{0,2}}|{SAID}" if own else SAID
    return re.compile(said, re.IGNORECASE)
