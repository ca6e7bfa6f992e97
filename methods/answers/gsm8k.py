"""Answers that are numbers, as GSM8K has them."""

from __future__ import annotations

import re
from typing import Final

from methods.answers.marks import AnswerMark, unboxed
from methods.answers.plain import plain
from methods.answers.words import spelled
from methods.answers.written import NUMBER, normalise, numbers

HEDGES = (
    "about|approximately|approx|roughly|around|exactly|precisely|just|only|simply|therefore|thus"
    "|so|equal to|equals|is|a total of|total of|nearly|almost|at least|at most|up to|over|indeed"
    "|clearly|probably|likely|the number|now"
)
HEAD = re.compile(
    rf"(?:[\s:;=~≈*_\"'“(\[{{|>,]|\.(?!\d)|(?:{HEDGES})\b|[A-Za-z]\w{{0,2}} ?=)*", re.IGNORECASE
)
NEGATIVE = re.compile(r"\b(?:minus|negative)\s+(?=[\d$.])", re.IGNORECASE)
DASH = re.compile(r"^\s*-\s+(?=[\d$.])")
CALCULATION = re.compile(r"[\s\d.,()+*/×÷x·$%-]*[=≈]\s*")  # up to its result
ASIDE = re.compile(r"\([^()]*\)")
SENTENCE = re.compile(r"[.!?](?=\s|$)|\n")
rule: Final = "last-number"


def stated(mark: AnswerMark) -> str | None:
    """The number that a mark is followed by, in digits or words, maybe after a hedge or a sum."""
    after = plain(unboxed(mark.content))
    line = DASH.sub("-", after) if not after.lstrip(" ").startswith("\n") else after.lstrip()
    line = NEGATIVE.sub("-", DASH.sub("", line).lstrip().split("\n", 1)[0])
    head = HEAD.match(line)
    assert head is not None
    found = NUMBER.match(line, head.end())
    while found and (calculation := CALCULATION.match(line, found.start())):
        result = NUMBER.match(line, calculation.end())
        if result is None:
            break
        found = result
    if found:
        return normalise(found[0])
    return _last(line) if mark.boxed else spelled(line[head.end() :])


def loose(mark: AnswerMark) -> str | None:
    """The last number of the sentence that a mark begins, asides left out."""
    return _last(ASIDE.sub("", SENTENCE.split(plain(unboxed(mark.content)).lstrip(), 1)[0]))


def last(text: str) -> str | None:
    """The last number of a text."""
    return _last(plain(unboxed(text)))


def same(one: str, other: str) -> bool:
    """Whether two normal forms are one."""
    return one == other


def holds(text: str, answer: str) -> bool:
    """Whether a number of this value stands in a text."""
    return any(written.value == answer for written in numbers(plain(unboxed(text))))


def _last(text: str) -> str | None:
    value = None
    for written in numbers(text):
        value = written.value
    return value
