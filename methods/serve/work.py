"""What a request makes the worker do: complete a prompt, search for an answer, score steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from convert.artifact import Aggregation
from methods import show
from methods.build import MethodSpec, build
from methods.candidate import AGGREGATIONS, Answer, Candidate, Stage
from methods.likelihood import Likelihood, likelihoods
from methods.opened import Models
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from methods.serve.plain import Completion, Wanted, complete
from methods.serve.replies import NOTHING, Told
from runtime.engine import Branch, ContextFull, Step, Usage
from runtime.prompt import prompt_format

Tell = Callable[[Any], None]


class Done(Protocol):
    """What work came to, and what it took of either model."""

    @property
    def usage(self) -> Usage: ...

    @property
    def scorer_usage(self) -> Usage: ...


class Work(Protocol):
    """Something the worker does for a request."""

    @property
    def think(self) -> str: ...

    @property
    def branches(self) -> int:
        """Branches that live at once, at most."""
        ...

    def run(self, models: Models, tell: Tell) -> Done: ...


@dataclass(frozen=True, slots=True)
class Completed:
    """What plain completions came to."""

    completions: list[Completion]
    prompt: list[Likelihood]  # of the prompt's tokens but the first, where they were wanted
    usage: Usage
    scorer_usage: Usage = NOTHING


@dataclass(frozen=True, slots=True)
class Plain:
    """Completions as any server gives them."""

    wanted: Wanted
    streamed: bool = False
    echo: bool = False  # log-probabilities of the prompt too
    think: str = "off"

    @property
    def branches(self) -> int:
        return self.wanted.n + 1

    def run(self, models: Models, tell: Tell) -> Completed:
        policy, before = models.policy, models.policy.usage
        prompt: list[Likelihood] = []
        if self.echo and self.wanted.prompt:
            prompt = list(likelihoods(policy, self.wanted.prompt, self.wanted.top_logprobs or 0))
            if self.streamed:
                tell(prompt)
        completions: list[Completion] = []
        if not (self.echo and self.wanted.silent):
            completions = complete(policy, self.wanted, tell if self.streamed else None)
        return Completed(completions, prompt, policy.usage - before)


@dataclass(frozen=True, slots=True)
class Searching:
    """A method's answer; every stage of it is told."""

    method: str
    problem: Problem
    spec: MethodSpec
    seed: int
    think: str = "off"

    @property
    def branches(self) -> int:
        return 2 * self.spec.width + 2

    def run(self, models: Models, tell: Tell) -> Answer:
        stages: list[Stage] = []

        def watch(stage: Stage) -> None:
            stages.append(stage)
            tell(Told(show.progress(stages), show.stage_document(len(stages), stage)))

        method = build(self.spec, models.policy, models.scorer(), watch)
        return method.solve(self.problem, self.seed)


@dataclass(frozen=True, slots=True)
class Rewards:
    """A score for every step of every text, and one for the text."""

    steps: list[list[float]]
    scores: list[float]
    scorer_usage: Usage
    usage: Usage = NOTHING


@dataclass(frozen=True, slots=True)
class Scoring:
    """Answers whose steps the reward model reads; those to one question share its reading."""

    pairs: tuple[tuple[str, tuple[str, ...]], ...]  # question, steps
    aggregation: Aggregation | None = None
    think: str = "off"

    @property
    def branches(self) -> int:
        return 2 * len(self.pairs) + 2

    def run(self, models: Models, _tell: Tell) -> Rewards:
        assert models.reward is not None
        scorer = ProcessRewardScorer(models.reward, prompt_format(models.policy).step_stop)
        before = scorer.usage
        found: dict[int, list[float]] = {}
        for asked in dict.fromkeys(question for question, _ in self.pairs):
            rows = [i for i, (question, _) in enumerate(self.pairs) if question == asked]
            found |= dict(zip(rows, self._scores(scorer, asked, rows), strict=True))
        aggregate = AGGREGATIONS[self.aggregation or scorer.aggregation]
        steps = [found[i] for i in range(len(self.pairs))]
        whole = [aggregate(each) for each in steps]
        return Rewards(steps, whole, scorer.usage - before)

    def _scores(
        self, scorer: ProcessRewardScorer, asked: str, rows: Sequence[int]
    ) -> list[list[float]]:
        """Scores of the steps of some answers to one question, all of a depth in one call."""
        root = Branch(0)
        grown = [Candidate(Branch(n, root.id)) for n, _ in enumerate(rows, 1)]
        texts = [self.pairs[i][1] for i in rows]
        with scorer.open(Problem("0", asked), root):
            for depth in range(max(map(len, texts))):
                live = [n for n, steps in enumerate(texts) if depth < len(steps)]
                steps = [Step(texts[n][depth], (), (), "stop") for n in live]
                scores = scorer.score([grown[n] for n in live], steps)
                for n, step, score in zip(live, steps, scores, strict=True):
                    grown[n] = grown[n].grown(step, score, finished=False)
            if not all(scorer.holds(candidate.branch) for candidate in grown):
                raise ContextFull(
                    "an answer is longer than the reward model's KV cache of "
                    f"{scorer.engine.context} tokens; shorten it, or raise --context"
                )
        return [list(candidate.scores) for candidate in grown]
