"""Scores of one path, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from methods.candidate import Candidate
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from runtime.engine import Engine, Step


def solved(solutions: Sequence[str]) -> list[list[str]]:
    """Steps without tags."""
    return [[line.removesuffix(" ки") for line in text.split("\n")] for text in solutions]


def line_scores(engine: Engine, question: str, lines: Sequence[str], stop: str) -> list[float]:
    return path_scores(
        engine, question, [Step(line + stop, (), (), "stop") for line in lines], stop
    )


def path_scores(engine: Engine, question: str, steps: Sequence[Step], stop: str) -> list[float]:
    """Scores of one path, each step by a fork of the branch before it, as a tree does."""
    scorer = ProcessRewardScorer(engine, stop)
    with engine.open([1]) as root, scorer.open(Problem("0", question), root):
        candidate = Candidate(root)
        for step in steps:
            (branch,) = engine.fork(candidate.branch, 1)
            candidate = Candidate(branch, candidate.steps, candidate.scores)
            (score,) = scorer.score([candidate], [step])
            candidate = candidate.grown(step, score, finished=False)
    return list(candidate.scores)
