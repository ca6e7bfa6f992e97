"""A tree of steps that a search grows stage by stage: fork, extend, score, release, elicit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from convert.artifact import Aggregation
from methods.budget import Budget
from methods.build import MethodSpec, Watch
from methods.candidate import AGGREGATIONS, Answer, Candidate, Stage
from methods.catalog import JUDGED, Selection
from methods.problem import Problem
from methods.scorers import Scorer
from methods.think_block import ThinkBlock
from methods.trial import Trial
from runtime.engine import Engine, Sampling, Step
from runtime.loops import loops
from runtime.prompt import prompt_format

MAX_DEPTH = 25  # of REBASE's released code


@dataclass(frozen=True, slots=True)
class TreeSearch:
    """What every tree search is made of; one of them adds its own numbers, and `solve`."""

    states = False  # whether a search reads those at the ends of paths

    engine: Engine
    scorer: Scorer
    width: int
    sampling: Sampling  # of one step; its max_tokens bounds the step
    max_tokens: int  # of one path
    selection: Selection = JUDGED
    aggregation: Aggregation = "last"
    elicit: bool = True
    think_budget: int | None = None
    budget: Budget | None = None
    max_depth: int = MAX_DEPTH
    watch: Watch = lambda _: None  # called after every stage

    @classmethod
    def build(cls, spec: MethodSpec, engine: Engine, scorer: Scorer | None, watch: Watch) -> Self:
        """See `methods.build.Builder`. What a search adds is read where the spec has it."""
        assert scorer is not None
        assert spec.aggregation is not None
        own = {name.replace("-", "_"): value for name, value in spec.own.items()}
        shared = TreeSearch.__dataclass_fields__
        added: dict[str, Any] = {
            f.name: own[f.name] if f.name in own else getattr(spec, f.name)
            for f in fields(cls)
            if f.name not in shared
        }
        return cls(
            engine,
            scorer,
            spec.width,
            Sampling(
                spec.temperature,
                spec.top_p,
                min(spec.step_tokens, spec.max_tokens),
                stop_loops=spec.stop_loops,
            ),
            spec.max_tokens,
            spec.selection,
            spec.aggregation,
            spec.elicit,
            spec.think_budget,
            spec.budget,
            watch=watch,
            **added,
        )


class GrowingTree:
    """The tree of one problem. Prefixes are shared: no token of a path is evaluated twice.

    A path is finished when its new step states an answer or ends the sequence. A path at
    `max_tokens` is cut off, as is one that a model's KV cache cannot hold, and what is alive at the
    depth limit or once the budget is spent; with `elicit` it is asked for its answer. How many
    branches live at once says `Search.branches`.
    """

    def __init__(self, search: TreeSearch, seed: int) -> None:
        self._search, self._engine, self._scorer = search, search.engine, search.scorer
        self._trial = Trial(self._engine, self._scorer, search.think_budget, search.budget)
        stop = prompt_format(self._engine).step_stop
        self._sampling = replace(
            search.sampling,
            seed=seed,
            states=search.states,
            stop=(*search.sampling.stop, stop, *self._trial.stops),
        )
        self.stages: list[Stage] = []
        self.dropped = 0

    @contextmanager
    def open(self, problem: Problem) -> Iterator[list[Candidate]]:
        """The first frontier: the root alone."""
        with self._trial.open(problem) as root:
            yield [Candidate(root, reader=self._trial.reader)]

    @property
    def over(self) -> bool:
        """Whether no further stage may begin; the first one always may."""
        deep = len(self.stages) >= self._search.max_depth
        return deep or (bool(self.stages) and self._trial.spent_all)

    def grow(
        self, frontier: Sequence[Candidate], shares: Sequence[int], budget: int
    ) -> list[Candidate]:
        """One stage: children of each candidate, grown by a step and scored, in one batch.

        Candidates without children are dropped. Children come in the order of their parents.
        """
        self.dropped += list(shares).count(0)
        children = self._fork(frontier, shares)
        steps = self._engine.extend([c.branch for c in children], self._sampling)
        steps = self._trial.block.closed(children, steps)
        scores = self._scorer.score(children, steps)
        grown = [
            c.grown(step, score, finished=_finished(self._trial.block, c, step))
            for c, step, score in zip(children, steps, scores, strict=True)
        ]
        self.stages.append(Stage(budget, tuple(shares), tuple(grown)))
        self._search.watch(self.stages[-1])
        self._release([c for c in grown if c.finished])
        return grown

    def parted(self, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
        """Those that have ended, the finished before those cut off, and those that can grow."""
        finished = [c for c in candidates if c.finished]
        cut = [c for c in candidates if self._cut(c)]
        alive = [c for c in candidates if not c.finished and not self._cut(c)]
        return finished + cut, alive

    def ended(self, candidate: Candidate) -> bool:
        """Whether a path is finished or cut off."""
        return candidate.finished or self._cut(candidate)

    def drop(self, candidates: Sequence[Candidate]) -> None:
        """Give up paths without a child."""
        self.dropped += len(candidates)
        self._release([c for c in candidates if not c.finished])

    def value(self, candidate: Candidate) -> float:
        """The scores of a path as one."""
        return AGGREGATIONS[self._search.aggregation](candidate.scores)

    def answer(self, leaves: Sequence[Candidate]) -> Answer:
        """What the leaves answer; one that stands there twice is asked once and counts twice."""
        found = {leaf.branch.id: leaf for leaf in leaves}
        if self._search.elicit:
            found = {leaf.branch.id: leaf for leaf in self._trial.elicit(list(found.values()))}
        return self._trial.answer(
            [found[leaf.branch.id] for leaf in leaves],
            self._search.selection,
            self._search.aggregation,
            self.stages,
            self.dropped,
        )

    def _fork(self, frontier: Sequence[Candidate], shares: Sequence[int]) -> list[Candidate]:
        """Children of each candidate, which itself is released: prefixes live on in children.

        Those without children go first and the others one by one, so that room is made in time.
        """
        pairs = list(zip(frontier, shares, strict=True))
        self._release([candidate for candidate, share in pairs if not share])
        children: list[Candidate] = []
        for parent, share in pairs:
            if share:
                branches = self._engine.fork(parent.branch, share)
                children += [replace(parent, branch=branch) for branch in branches]
                self._release([parent])
        return children

    def _cut(self, candidate: Candidate) -> bool:
        """Whether a path has no room left, or goes round in a circle and is to end for it."""
        if candidate.finished:
            return False
        if candidate.tokens >= self._search.max_tokens:
            return True
        if candidate.steps and not candidate.steps[-1].token_ids:  # none fitted into the KV cache
            return True
        if not self._scorer.holds(candidate.branch):
            return True
        ids = (token for step in candidate.steps for token in step.token_ids)
        return self._sampling.stop_loops and loops(ids)

    def _release(self, candidates: Sequence[Candidate]) -> None:
        branches = [candidate.branch for candidate in candidates]
        self._engine.release(branches)
        self._scorer.release(branches)


def _finished(block: ThinkBlock, candidate: Candidate, step: Step) -> bool:
    stated = candidate.reader.states(step.text) and not block.holds(candidate.text + step.text)
    return step.finish == "eos" or stated
