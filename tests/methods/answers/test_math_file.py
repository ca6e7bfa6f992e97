"""A file in MATH-500's format: every gold answer is read, found in its solution, and told apart."""

from __future__ import annotations

import json
from pathlib import Path

from methods.answers.reader import Reader
from methods.problem import read_problems

FILE = Path(__file__).with_name("math_500_format.jsonl")


def test_solutions_have_their_answers_and_no_other() -> None:
    problems = read_problems(FILE)
    assert [(p.task, p.fault) for p in problems] == [("math", None)] * 20
    reader = Reader("math")
    solutions = [json.loads(line)["solution"] for line in FILE.read_text("utf-8").splitlines()]
    for problem in problems:
        answers = [reader.read(text).answer for text in solutions]
        accepted = [i for i, answer in enumerate(answers) if problem.accepts(answer)]
        assert accepted == [int(problem.id)], problem.gold
