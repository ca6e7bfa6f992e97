"""Solutions sampled once from a policy, to be scored by one reward model after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from methods.baseline import SampleVote
from methods.candidate import Candidate
from methods.catalog import MAJORITY
from methods.problem import Problem
from methods.scorers import Scorer
from methods.trial import split_steps
from profiles.records.record import question_seed
from runtime.engine import Branch, ContextFull, Engine, Sampling, Step
from runtime.prompt import prompt_format

ROOT = Branch(0)


@dataclass(frozen=True, slots=True)
class Solution:
    """One sampled path in its steps; `asked` is its answer where a limit cut it off."""

    steps: tuple[Step, ...]
    asked: Step | None
    finished: bool


@dataclass(frozen=True, slots=True)
class Pool:
    """The solutions of one problem; none where it did not fit the KV cache."""

    problem: Problem
    solutions: tuple[Solution, ...]


def sample(policy: Engine, problem: Problem, n: int, sampling: Sampling, seed: int) -> Pool:
    """`n` solutions of a problem, drawn as `profile run` draws them for a vote."""
    method = SampleVote(policy, None, n, sampling, MAJORITY.selection)
    try:
        found = method.solve(problem, question_seed(seed, problem.id)).candidates
    except ContextFull:
        return Pool(problem, ())
    stop, pieces = prompt_format(policy).step_stop, policy.tokenizer.pieces
    return Pool(problem, tuple(_solution(c, stop, pieces) for c in found))


def _solution(candidate: Candidate, stop: str, pieces: Sequence[bytes]) -> Solution:
    completion, *asked = candidate.steps
    steps = split_steps(completion, stop, pieces)
    return Solution(tuple(steps), asked[0] if asked else None, candidate.finished)


def score(scorer: Scorer, pool: Pool) -> list[Candidate]:
    """The pool's solutions under a reward model, all steps of one depth together."""
    grown = [Candidate(Branch(i, ROOT.id)) for i in range(1, len(pool.solutions) + 1)]
    depths = max((len(solution.steps) for solution in pool.solutions), default=0)
    with scorer.open(pool.problem, ROOT):
        for depth in range(depths):
            rows = [i for i, s in enumerate(pool.solutions) if depth < len(s.steps)]
            steps = [pool.solutions[i].steps[depth] for i in rows]
            scores = scorer.score([grown[i] for i in rows], steps)
            for i, step, value in zip(rows, steps, scores, strict=True):
                grown[i] = grown[i].grown(step, value, finished=False)
    return [_ended(c, s) for c, s in zip(grown, pool.solutions, strict=True)]


def _ended(candidate: Candidate, solution: Solution) -> Candidate:
    """With its last answer; a path without a step was not read, and is given no weight."""
    scored = candidate if candidate.scores else replace(candidate, scores=(0.0,))
    ended = replace(scored, finished=solution.finished)
    return ended if solution.asked is None else ended.elicited("", solution.asked)
