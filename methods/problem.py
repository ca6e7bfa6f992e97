"""A question with its gold answer, and the jsonl files that hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from convert.files import regular
from convert.refusal import Refusal
from methods.answers import gold_answer

EXPECTED = "expected lines with 'question' and 'answer' ending in '#### N'"

KINDS = {
    **dict.fromkeys((int, float), "a number"),
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One question. `gold` is the normalised answer, None where it is not known."""

    id: str
    question: str
    gold: str | None = None
    fault: str | None = None  # why it cannot be asked, with its line


def read_problems(
    path: Path, limit: int | None = None, shuffle: int | None = None
) -> list[Problem]:
    """The first problems of a file in GSM8K's format: `question` and `answer` ending in `#### N`.

    A line that is no such problem is one with a fault, so that it fails alone. With `shuffle` they
    come in the order that this seed gives; 42 on GSM8K's test set is the order of arXiv 2412.16260
    (`datasets.Dataset.shuffle`).

    Raises:
        Refusal: for a file in which no problem can be asked; says what was expected.
    """
    found = _problems(path)
    if shuffle is None:
        problems = list(islice(found, limit))
    else:
        everything = list(found)
        order = np.random.default_rng(shuffle).permutation(len(everything))
        problems = [everything[i] for i in order[:limit]]
    if all(problem.fault for problem in problems):
        why = f": {problems[0].fault}" if problems else ""
        raise Refusal(f"{path} holds no problems{why}; {EXPECTED}")
    return problems


def _problems(path: Path) -> Iterator[Problem]:
    """One for every line that is not blank; ids are positions of lines."""
    with regular(path).open("rb") as lines:
        for position, line in enumerate(lines):
            if line.strip():
                yield _parse(line, str(position), position + 1)


def _parse(line: bytes, problem_id: str, number: int) -> Problem:
    blank = Problem(problem_id, "")
    try:
        record = json.loads(line.decode("utf-8-sig"))
        if not isinstance(record, dict):
            return replace(blank, fault=f"line {number}: not a table but {_kind(record)}")
        for name in ("question", "answer"):
            if not isinstance(value := record.get(name), str):
                said = f"line {number}: '{name}' is no text but {_kind(value)}"
                return replace(blank, fault=said)
        question: str = record["question"]
        question.encode()  # JSON can spell half a surrogate pair; nothing can read it
        if not question.strip():
            return replace(blank, fault=f"line {number}: the question is empty")
        return Problem(problem_id, question, gold_answer(record["answer"]))
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        return replace(blank, fault=f"line {number}: not UTF-8 text: {error.reason}")
    except (ValueError, RecursionError) as error:
        return replace(blank, fault=f"line {number}: {error}")


def _kind(value: object) -> str:
    """What a JSON value is, for people."""
    return "missing or null" if value is None else KINDS[type(value)]
