"""A question with its gold answer, and the jsonl files that hold them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from convert.files import regular
from convert.refusal import Refusal
from methods.answers.reader import Reader
from methods.answers.tasks import TaskName
from methods.fields import EXPECTED, detect, kind, question_and_gold

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One question. `gold` is the right answer, None where it is not known."""

    id: str
    question: str
    gold: str | None = None
    fault: str | None = None  # why it cannot be asked, with its line
    task: TaskName = "gsm8k"  # how answers are read and compared
    prompt: tuple[int, ...] = ()  # ids that the policy reads in place of its own prompt

    def accepts(self, answer: str | None) -> bool:
        """Whether an answer has the value of the gold one."""
        if self.gold is None or answer is None:
            return False
        return Reader(self.task).same(self.gold, answer)

    def stands_in(self, text: str) -> bool:
        """Whether the gold answer stands anywhere in a text."""
        return self.gold is not None and Reader(self.task).holds(text, self.gold)


def read_problems(
    path: Path,
    limit: int | None = None,
    shuffle: int | None = None,
    task: TaskName | None = None,
) -> list[Problem]:
    """The first problems of a jsonl file, of the task given or of the one its fields belong to.

    A line that is no such problem is one with a fault, so that it fails alone. With `shuffle` they
    come in the order that this seed gives; 42 on GSM8K's test set is the order of arXiv 2412.16260
    (`datasets.Dataset.shuffle`).

    Raises:
        Refusal: for a file in which no problem can be asked; says what was expected.
    """
    found = _problems(path, task)
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


def _problems(path: Path, task: TaskName | None) -> Iterator[Problem]:
    """One for every line that is not blank; ids are positions of lines."""
    for position, line in enumerate(_lines(path)):
        if line.strip():
            record = _record(line)
            if task is None and isinstance(record, dict):
                task = detect(record)
            yield _problem(record, task or "gsm8k", str(position), f"line {position + 1}")


def _lines(path: Path) -> Iterator[bytes]:
    """Lines in UTF-8, also of a file that begins as UTF-16 does.

    Raises:
        Refusal: for UTF-16 without the mark that tells its order of bytes.
    """
    with regular(path).open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start.startswith(UTF16) and start[2:] != b"\0\0":
            text = file.read().decode("utf-16", "replace")
            yield from (line.encode("utf-8") for line in text.split("\n"))
            return
        if b"\0" in start:
            raise Refusal(f"{path} is UTF-16 or UTF-32 without a byte order mark; save it as UTF-8")
        yield from file


def _record(line: bytes) -> Any:
    """The JSON value of a line, or why there is none."""
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Refusal(f"not UTF-8 text: {error.reason}")
    except (ValueError, RecursionError) as error:
        return Refusal(str(error))


def _problem(record: Any, task: TaskName, problem_id: str, where: str) -> Problem:
    try:
        if isinstance(record, Refusal):
            raise record
        if not isinstance(record, dict):
            raise Refusal(f"not a table but {kind(record)}")
        question, gold = question_and_gold(record, task)
        if not question.strip():
            raise Refusal("the question is empty")
        (question + gold).encode()  # JSON can spell half a surrogate pair; nothing can read it
        return Problem(problem_id, question, gold, task=task)
    except UnicodeEncodeError as error:
        fault = f"not UTF-8 text: {error.reason}"
    except Refusal as error:
        fault = str(error)
    return Problem(problem_id, "", fault=f"{where}: {fault}", task=task)
