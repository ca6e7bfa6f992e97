"""Paths through a search, and the answer a method returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from convert.artifact import Aggregation
from methods.answers.reader import NUMBERS, Extraction, Reader
from methods.budget import Budget
from methods.catalog import Selection
from runtime.engine import Branch, Step, Usage

AGGREGATIONS: dict[Aggregation, Callable[[Sequence[float]], float]] = {
    "last": lambda scores: scores[-1],
    "min": min,
    "prod": math.prod,
    "mean": lambda scores: sum(scores) / len(scores),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path through the tree: its steps and their scores, each in [0, 1], higher is better."""

    branch: Branch
    steps: tuple[Step, ...] = ()
    scores: tuple[float, ...] = ()
    finished: bool = False
    reader: Reader = NUMBERS  # of the problem's task
    read_as: Extraction | None = None  # by a protocol with an extraction of its own

    @property
    def text(self) -> str:
        return "".join(step.text for step in self.steps)

    @property
    def reading(self) -> Extraction:
        """The answer, as the protocol of the run reads it."""
        return self.read_as or self.reader.read(self.text)

    def gives(self, answer: str) -> bool:
        """Whether its answer has the value of this one."""
        given = self.reading.answer
        return given is not None and self.reader.same(answer, given)

    @property
    def tokens(self) -> int:
        """Sampled tokens along the path."""
        return sum(len(step.token_ids) for step in self.steps)

    @property
    def score(self) -> float:
        """The score of the current step, REBASE's reward of a candidate; 1 for a root."""
        return self.scores[-1] if self.scores else 1.0

    @property
    def truncated(self) -> bool:
        return not self.finished

    def grown(self, step: Step, score: float, *, finished: bool) -> Candidate:
        return replace(
            self,
            steps=(*self.steps, step),
            scores=(*self.scores, score),
            finished=finished,
        )

    def elicited(self, marker: str, step: Step) -> Candidate:
        """With an answer that was asked for: the marker and what followed, under the last score."""
        asked = replace(step, text=marker + step.text)
        scores = (*self.scores, self.score) if self.scores else ()
        return replace(self, steps=(*self.steps, asked), scores=scores)


@dataclass(frozen=True, slots=True)
class Stage:
    """One depth of a search: what it had to spend, and who got how many children."""

    budget: int
    shares: tuple[int, ...]  # children of each frontier candidate of the stage before
    candidates: tuple[Candidate, ...]  # the children, scored


@dataclass(frozen=True, slots=True)
class Answer:
    """The full result of a method on one problem; the reward model's work is booked apart.

    `candidates` are the finished paths and those cut off by a limit. `dropped` counts scored
    candidates that got no children while unfinished.
    """

    text: str | None  # the chosen answer, normalised; None if no candidate gave one
    selection: Selection
    candidates: tuple[Candidate, ...]
    usage: Usage
    scorer_usage: Usage
    latency_s: float
    scorer_s: float  # part of latency_s spent scoring
    ttft_s: float  # from the start to the first token's logits
    stages: tuple[Stage, ...] = ()
    dropped: int = 0
    booked_tokens: int | None = None  # what the paper's code would charge; None: visible tokens
    aggregation: Aggregation = "last"  # how the scores of a path became one
    budget: Budget | None = None
    spent: float = 0.0  # of the budget, in its unit

    @property
    def overshoot(self) -> float | None:
        """What was spent beyond the budget, as a share of it; None without one."""
        if self.budget is None:
            return None
        return max(0.0, self.spent / self.budget.amount - 1)
