"""Answers that are mathematics in LaTeX, as MATH has them; math-verify tells which are equal."""

from __future__ import annotations

import json
import os
import re
from functools import cache, lru_cache
from typing import Final

from methods.answers.marks import AnswerMark, unboxed
from methods.answers.written import NUMBER, normalise
from runtime.asked import Asked

CPU_S, WALL_S, START_S = 3.0, 20.0, 60.0  # of one comparison, and of starting the child
MEMORY_BYTES = 2 << 30
MAX_CHARACTERS = 2000  # no answer of a benchmark is longer

FORMULA = re.compile(
    r"(?<!\\)\$\$(.+?)(?<!\\)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\\\d])\$((?:\\\$|[^$\n])+)\$",
    re.DOTALL,
)
LEAD = re.compile(r"[\s:*_]*(?:(?:then|thus|therefore|simply|equal to|given by|just)\b[\s:,]*)*")
SENTENCE = re.compile(r"\.(?=\s|$)|\n")
LAYOUT = re.compile(
    r"\\(?:left|right|displaystyle|mathrm|mathbf|text(?:bf|it|rm)?|mbox)\b"
    r"|\\[,;:! ]|[\s{}$]|\^\\circ"
)
PLAIN_NUMBER = re.compile(r"-?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?")
BRACKET = re.compile(r"\\\\|\\[{}]|(\{|\\[(\[])|(\}|\\[)\]])")
TAIL = " \t\n.,;:*_"
rule: Final = "last"


def stated(mark: AnswerMark) -> str | None:
    """The formula that a mark is followed by, else the words up to the end of the sentence."""
    if mark.boxed:
        return _clean(mark.content)
    after = _own(unboxed(mark.content).lstrip(" \n\t}"))
    sentence = SENTENCE.split(after, 1)[0]
    lead = LEAD.match(after)
    assert lead is not None
    if formula := FORMULA.match(after, lead.end()) or FORMULA.search(sentence):
        return _clean(_inside(formula))
    return _clean(sentence[lead.end() :])


def loose(_: AnswerMark) -> str | None:
    """Nothing: a sentence that holds no formula is an answer already."""
    return None


def last(text: str) -> str | None:
    """The last formula of a text, else its last number."""
    formulas = list(FORMULA.finditer(text))
    if formulas:
        return _clean(_inside(formulas[-1]))
    found = list(NUMBER.finditer(text))
    return found[-1][0].strip() if found else None


def same(one: str, other: str) -> bool:
    """Whether two answers have one value."""
    if _ink(one) == _ink(other):
        return True
    first, second = _number(one), _number(other)
    if first is not None and second is not None:
        return first == second
    return _verified(one, other)


def holds(text: str, answer: str) -> bool:
    """Whether an answer stands in a text as it is written, layout aside."""
    return _ink(answer) in _ink(text)


def _own(text: str) -> str:
    """A text up to the end of a formula that began before it: marks stand in formulas too."""
    depth = 0
    for bracket in BRACKET.finditer(text):
        depth += bool(bracket[1]) - bool(bracket[2])
        if depth < 0:
            return text[: bracket.start()]
    return text


def _inside(formula: re.Match[str]) -> str:
    return str(next(filter(None, formula.groups())))


def _clean(text: str) -> str | None:
    return text.strip().strip(TAIL).removesuffix("\\").strip()[:MAX_CHARACTERS] or None


def _ink(answer: str) -> str:
    """What is left of an answer without layout."""
    answer = re.sub(r"\\[dt]frac", r"\\frac", answer)
    return LAYOUT.sub("", answer).strip(TAIL)


def _number(answer: str) -> str | None:
    """The value of a plain decimal number, percent signs and currencies aside."""
    bare = _ink(answer).replace("\\%", "").replace("%", "").replace("\\", "").replace("−", "-")
    return normalise(bare) if PLAIN_NUMBER.fullmatch(bare) else None


@lru_cache(maxsize=4096)
def _verified(one: str, other: str) -> bool:
    """What math-verify says within its limits; False where it does not come to an end."""
    reply = _child(os.getpid()).ask(json.dumps([one, other]))
    return reply.line.strip() == "true"


@cache
def _child(_process: int) -> Asked:
    """The one of this process: a fork may not share its parent's child."""
    limits = (str(CPU_S), str(MEMORY_BYTES))
    return Asked("methods.answers.math_child", limits, WALL_S, START_S)
