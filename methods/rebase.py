"""REBASE: reward-balanced tree search (Wu, Sun, Li, Welleck, Yang 2024, section 3.1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from convert.artifact import Aggregation
from methods.allocate import allocate
from methods.build import MethodSpec, Watch
from methods.candidate import Answer, Candidate, Stage
from methods.catalog import JUDGED, Allocation, Selection
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer, Scorer
from methods.think_block import ThinkBlock
from methods.trial import Trial
from runtime.engine import Engine, Sampling, Step
from runtime.loops import loops
from runtime.prompt import prompt_format

MAX_DEPTH = 25  # of the released code


@dataclass(frozen=True, slots=True)
class Rebase:
    """A tree of steps in which good candidates get more children.

    Every stage samples one step for each child in one batch and scores it. The budget starts at
    `width` and shrinks by every finished path; candidates that get no children are pruned. A path
    is finished when its new step states an answer or ends the sequence. A path at `max_tokens`, and
    what is alive at the depth limit or once the budget is spent, is cut off; with `elicit` it is
    asked for its answer. How many branches live at once says `Search.branches`.
    """

    engine: Engine
    scorer: Scorer
    width: int
    sampling: Sampling  # of one step; its max_tokens bounds the step
    max_tokens: int  # of one path
    balance: float = 0.1  # T_b of the paper's appendix C
    allocation: Allocation = "ceil"
    selection: Selection = JUDGED
    aggregation: Aggregation = "last"
    elicit: bool = True
    think_budget: int | None = None
    max_depth: int = MAX_DEPTH
    watch: Watch = lambda _: None  # called after every stage

    @classmethod
    def build(
        cls, spec: MethodSpec, engine: Engine, scorer: ProcessRewardScorer | None, watch: Watch
    ) -> Rebase:
        """See `methods.build.Builder`."""
        assert scorer is not None
        assert spec.aggregation is not None
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
            spec.balance,
            spec.allocation,
            spec.selection,
            spec.aggregation,
            spec.elicit,
            spec.think_budget,
            watch=watch,
        )

    def solve(self, problem: Problem, seed: int) -> Answer:
        trial = Trial(self.engine, self.scorer, self.think_budget)
        stop = (*self.sampling.stop, prompt_format(self.engine).step_stop, *trial.stops)
        sampling = replace(self.sampling, seed=seed, stop=stop)
        stages: list[Stage] = []
        leaves: list[Candidate] = []
        dropped = 0
        with trial.open(problem) as root:
            frontier = [Candidate(root, reader=trial.reader)]
            # allocations other than `ceil` may hand out more than the budget, and so overspend it
            while frontier and len(leaves) < self.width and len(stages) < self.max_depth:
                budget = self.width - len(leaves)
                shares = allocate(
                    [c.score for c in frontier], budget, self.balance, self.allocation
                )
                dropped += shares.count(0)
                children = self._fork(frontier, shares)
                steps = self.engine.extend([c.branch for c in children], sampling)
                steps = trial.block.closed(children, steps)
                scores = self.scorer.score(children, steps)
                grown = [
                    c.grown(step, score, finished=_finished(trial.block, c, step))
                    for c, step, score in zip(children, steps, scores, strict=True)
                ]
                stages.append(Stage(budget, tuple(shares), tuple(grown)))
                self.watch(stages[-1])
                done = [c for c in grown if c.finished]
                self._release(done)
                leaves += done + [c for c in grown if self._cut(c)]
                frontier = [c for c in grown if not c.finished and not self._cut(c)]
            leaves += frontier
            if self.elicit:
                leaves = trial.elicit(leaves)
            return trial.answer(leaves, self.selection, self.aggregation, stages, dropped)

    def _fork(self, frontier: Sequence[Candidate], shares: Sequence[int]) -> list[Candidate]:
        """Children of each candidate, which itself is released: prefixes live on in children.

        Those without children go first and the others one by one, so that room is made in time.
        """
        pairs = list(zip(frontier, shares, strict=True))
        self._release([candidate for candidate, share in pairs if not share])
        children: list[Candidate] = []
        for parent, share in pairs:
            if share:
                branches = self.engine.fork(parent.branch, share)
                children += [replace(parent, branch=branch) for branch in branches]
                self._release([parent])
        return children

    def _cut(self, candidate: Candidate) -> bool:
        """Whether a path has no room left, or goes round in a circle and is to end for it."""
        if candidate.finished or candidate.tokens >= self.max_tokens:
            return not candidate.finished
        ids = (token for step in candidate.steps for token in step.token_ids)
        return self.sampling.stop_loops and loops(ids)

    def _release(self, candidates: Sequence[Candidate]) -> None:
        branches = [candidate.branch for candidate in candidates]
        self.engine.release(branches)
        self.scorer.release(branches)


def _finished(block: ThinkBlock, candidate: Candidate, step: Step) -> bool:
    stated = candidate.reader.states(step.text) and not block.holds(candidate.text + step.text)
    return step.finish == "eos" or stated
