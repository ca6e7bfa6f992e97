"""Texts to measure on: a file, or what the reference policy was trained to write."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from convert.refusal import Refusal
from convert.sources import BENCHMARK
from profiles.chunks import CONTEXT

TEMPLATE = "{question}\n{steps}\n"
STEP = "Step {k}: {step} ки"
SOLUTIONS = "benchmark solutions"
ONE_PROBLEM = 128  # tokens: the reference policy has seen one problem at a time, never many


@dataclass(frozen=True, slots=True)
class Text:
    """A text, how a report names it, and the tokens of a chunk that suit it."""

    name: str
    content: str
    context: int = CONTEXT

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()


def read_text(path: Path) -> Text:
    """A file as it is: no newline is translated.

    Raises:
        Refusal: if it is not UTF-8; names it.
    """
    try:
        return Text(path.name, path.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 text: {error.reason}") from error


def benchmark_solutions() -> Text:
    """All problems of the bundled benchmark, each with its gold steps in the policy's own form."""
    rendered = [
        TEMPLATE.format(question=r["question"], steps=_steps(r["answer"])) for r in _records()
    ]
    return Text(SOLUTIONS, "".join(rendered), ONE_PROBLEM)


def solved_problems(count: int) -> list[tuple[str, str]]:
    """The first problems of the bundled benchmark as (prompt, gold solution)."""
    return [(f"{r['question']}\n", _steps(r["answer"])) for r in _records()[:count]]


def _records() -> list[dict[str, str]]:
    return [json.loads(line) for line in BENCHMARK.read_text(encoding="utf-8").splitlines()]


def _steps(answer: str) -> str:
    *steps, result = answer.split("\n")
    steps[-1] += " The answer is: " + result.removeprefix("#### ")
    return "\n".join(STEP.format(k=k, step=step) for k, step in enumerate(steps, 1))
