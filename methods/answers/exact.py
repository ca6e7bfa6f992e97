"""Answers that are texts, compared word for word without case, quotes and final stops."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from methods.answers.marks import AnswerMark, unboxed
from methods.answers.plain import plain
from methods.answers.written import NUMBER, normalise

MARKS = re.compile(r"[^\w\s]")
rule: Final = "last"


def stated(mark: AnswerMark) -> str | None:
    """The line that a mark begins."""
    return _line(mark.content.lstrip().split("\n", 1)[0])


def loose(_: AnswerMark) -> str | None:
    """Nothing: the line that a mark begins is its answer already."""
    return None


def last(text: str) -> str | None:
    """The last line that is not blank."""
    lines = [line for line in text.splitlines() if line.strip()]
    return _line(lines[-1]) if lines else None


def same(one: str, other: str) -> bool:
    """Whether two texts have the same words, or are the same number."""
    return _words(one) == _words(other)


def holds(text: str, answer: str) -> bool:
    """Whether the words of an answer stand in a text."""
    bare = (_words(MARKS.sub(" ", one)) for one in (answer, text))
    sought, whole = (f" {words} " for words in bare)
    return bool(sought.strip()) and sought in whole


def is_number(text: str) -> bool:
    """Whether a text is one number, in whatever form."""
    return NUMBER.fullmatch(plain(text).strip(" $.%")) is not None


def _line(text: str) -> str | None:
    return plain(unboxed(text)).strip(" \t\"'“”*_.$:</>") or None


def _words(text: str) -> str:
    text = unicodedata.normalize("NFKC", " ".join(text.split())).casefold()
    text = text.strip(" \"'.")
    if (found := NUMBER.fullmatch(text)) and (value := normalise(found[0])):
        return value
    return text
