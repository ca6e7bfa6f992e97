"""A question with its gold answer, and the jsonl files that hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.refusal import Refusal
from methods.answers import gold_answer


@dataclass(frozen=True, slots=True)
class Problem:
    """One question. `gold` is the normalised answer, None where it is not known."""

    id: str
    question: str
    gold: str | None = None


def read_problems(
    path: Path, limit: int | None = None, shuffle: int | None = None
) -> list[Problem]:
    """The first problems of a file in GSM8K's format: `question` and `answer` ending in `#### N`.

    With `shuffle` they come in the order that this seed gives; 42 on GSM8K's test set is the order
    of arXiv 2412.16260 (`datasets.Dataset.shuffle`).

    Raises:
        Refusal: for an empty file, or a line that is not such a problem; names the line.
    """
    problems: list[Problem] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if shuffle is None and limit is not None and len(problems) == limit:
                break
            if line.strip():
                problems.append(_parse(line, path, number))
    if not problems:
        raise Refusal(f"{path} holds no problems; expected lines with 'question' and 'answer'")
    if shuffle is None:
        return problems
    order = np.random.default_rng(shuffle).permutation(len(problems))
    return [problems[i] for i in order[:limit]]


def _parse(line: str, path: Path, number: int) -> Problem:
    try:
        record = json.loads(line)
        return Problem(str(number - 1), record["question"], gold_answer(record["answer"]))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refusal(
            f"{path} line {number} is not a problem with 'question' and 'answer' ending in "
            f"'#### N': {error}"
        ) from error
