"""Right and wrong steps, told by the gold values of the bundled benchmark."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from convert.refusal import Refusal
from runtime.engine import Step

RESULT = re.compile(r"= (-?\d+)")
ANSWER = re.compile(r"The answer is: (-?\d+)")


def read_gold_values(path: Path) -> dict[str, tuple[int, ...]]:
    """The values that the gold steps reach, by problem id; lines end in `= N ...`, then `#### N`.

    Raises:
        Refusal: if a gold step has no result.
    """
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        *steps, _ = json.loads(line)["answer"].split("\n")
        results = [RESULT.findall(step) for step in steps]
        if not all(results):
            raise Refusal(f"{path} line {number + 1} has a gold step without a result")
        found[str(number)] = tuple(int(result[-1]) for result in results)
    return found


def label_steps(steps: Sequence[Step], values: Sequence[int]) -> list[bool | None]:
    """Whether each step reaches its gold value after steps that all did; None for a cut-off step.

    An answer is right only in the last gold step. A valid solution in another order of steps counts
    as wrong, as does every step past the last gold one.
    """
    labels: list[bool | None] = []
    right = True
    for k, step in enumerate(steps):
        if step.finish != "stop":
            labels.append(None)
            continue
        results, answers = RESULT.findall(step.text), ANSWER.findall(step.text)
        right = right and k < len(values) and bool(results) and int(results[-1]) == values[k]
        if answers:
            right = right and k == len(values) - 1 and int(answers[-1]) == values[-1]
        labels.append(right)
    return labels
