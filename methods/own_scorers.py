"""Scores from what decoding has computed anyway: no second model, no second reading."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import fmean

from convert.artifact import Aggregation, Shape
from methods.candidate import Candidate
from methods.problem import Problem
from methods.scorers import Scorer
from runtime.engine import Branch, Step, Usage

POOLS: dict[Aggregation, Callable[[Sequence[float]], float]] = {"mean": fmean, "min": min}


class LogprobScorer:
    """How sure the policy was of a step: the probability of its tokens, exp(sum of logprobs).

    Aggregated by `mean`, it is the geometric mean of their probabilities instead, whatever the
    step's length; by `min`, the probability of the token that was least sure. Log-probabilities
    are of the distribution that was sampled from.
    """

    def __init__(self, shape: Shape, aggregation: Aggregation) -> None:
        self.shape, self.usage, self.seconds = shape, Usage(), 0.0
        self.aggregation = aggregation
        self._pool = POOLS.get(aggregation, math.fsum)

    def open(self, problem: Problem, root: Branch) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def score(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[float]:
        return [
            math.exp(self._pool(step.logprobs)) if step.logprobs else c.score
            for c, step in zip(candidates, steps, strict=True)
        ]

    def holds(self, branch: Branch) -> bool:  # noqa: ARG002
        return True

    def release(self, branches: Sequence[Branch]) -> None:
        """Nothing is kept."""


class Product:
    """The scores of the policy itself times those of a reward model."""

    def __init__(self, own: Scorer, read: Scorer) -> None:
        self._own, self._read = own, read

    @property
    def shape(self) -> Shape:
        return self._read.shape

    @property
    def usage(self) -> Usage:
        return self._read.usage

    @property
    def seconds(self) -> float:
        return self._own.seconds + self._read.seconds

    @property
    def aggregation(self) -> Aggregation:
        return self._read.aggregation

    @contextmanager
    def open(self, problem: Problem, root: Branch) -> Iterator[None]:
        with self._own.open(problem, root), self._read.open(problem, root):
            yield

    def score(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[float]:
        own, read = self._own.score(candidates, steps), self._read.score(candidates, steps)
        return [
            a * b if step.text.strip() else c.score  # an empty step changes nothing
            for c, step, a, b in zip(candidates, steps, own, read, strict=True)
        ]

    def holds(self, branch: Branch) -> bool:
        return self._own.holds(branch) and self._read.holds(branch)

    def release(self, branches: Sequence[Branch]) -> None:
        self._own.release(branches)
        self._read.release(branches)
