"""Answers that are one of the letters A to E."""

from __future__ import annotations

import re
from typing import Final

from methods.answers.marks import AnswerMark, unboxed
from methods.answers.plain import plain

HEAD = re.compile(
    r"(?:[\s:;=*_\"'“(\[{$,.]|\b(?:is|the|correct|right|option|choice|answer|letter|likely|probably"
    r"|most|definitely|clearly|therefore|thus|simply|just)\b)*",
    re.IGNORECASE,
)
LETTER = re.compile(r"([A-E])(?![\w'’])")
LOWER = re.compile(r"([a-e])\)")
ALONE = re.compile(r"(?<![\w'’])(?:\(([A-E])\)|([B-E])(?![\w'’])|(A)(?=\s*(?:[.):,*]|$)))", re.M)
rule: Final = "last"


def stated(mark: AnswerMark) -> str | None:
    """The letter that a mark is followed by: `C`, `(C)`, `option C`, `c)`."""
    line = plain(unboxed(mark.content)).lstrip().split("\n", 1)[0]
    head = HEAD.match(line)
    assert head is not None
    found = LETTER.match(line, head.end()) or LOWER.match(line, head.end())
    if found is None and len(bare := line.strip(" .()")) == 1 and bare in "abcde":
        return bare.upper()
    if found is None or _article(line, found):
        return None
    return found[1].upper()


def _article(line: str, letter: re.Match[str]) -> bool:
    """Whether an A is the word, as in `A dog`."""
    return letter[1] == "A" and re.match(r" +[a-z]", line[letter.end() :]) is not None


def loose(mark: AnswerMark) -> str | None:
    """The last letter of the line that a mark begins."""
    return last(mark.content.lstrip().split("\n", 1)[0])


def last(text: str) -> str | None:
    """The last letter that stands alone."""
    found = ALONE.findall(plain(unboxed(text)))
    return next(filter(None, found[-1])) if found else None


def same(one: str, other: str) -> bool:
    """Whether two letters are one."""
    return one == other


def holds(text: str, answer: str) -> bool:
    """Whether a letter stands alone in a text."""
    return any(answer in found for found in ALONE.findall(plain(unboxed(text))))
