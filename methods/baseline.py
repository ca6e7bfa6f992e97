"""Independent paths: greedy decoding, and n samples for majority vote, best-of-n, weighted vote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from convert.artifact import Aggregation
from methods.budget import Budget
from methods.build import MethodSpec
from methods.candidate import Answer, Candidate
from methods.catalog import Selection
from methods.problem import Problem
from methods.scorers import Scorer
from methods.trial import Trial, split_steps
from runtime.engine import Branch, Engine, Sampling, Step
from runtime.prompt import prompt_format


@dataclass(frozen=True, slots=True)
class SampleVote:
    """`n` completions of one prompt, sampled together, then voted on.

    With a scorer every step of every completion is scored, so that one run serves all selections.
    Where the KV cache does not hold `n` completions at once, they are sampled in waves; so they are
    under a budget, whose first wave is one path, and where enough of them may be fewer than `n`.
    """

    engine: Engine
    scorer: Scorer | None
    n: int
    sampling: Sampling
    selection: Selection
    aggregation: Aggregation = "last"
    elicit: bool = True
    think_budget: int | None = None
    budget: Budget | None = None
    wave: int | None = None  # paths sampled at once at most
    enough: Callable[[Sequence[Candidate]], bool] = lambda _: False

    def solve(self, problem: Problem, seed: int) -> Answer:
        trial = Trial(self.engine, self.scorer, self.think_budget, self.budget)
        sampling = replace(self.sampling, seed=seed, stop=(*self.sampling.stop, *trial.stops))
        done: list[Candidate] = []
        with trial.open(problem) as root:
            while size := min(self._wanted(trial, done), self._room(root)):
                wave = self.engine.fork(root, size)
                steps = trial.block.extend(wave, sampling)
                grown = self._score([Candidate(b, reader=trial.reader) for b in wave], steps)
                done += trial.elicit(grown) if self.elicit else grown
                self.engine.release(wave)
                if self.scorer is not None:
                    self.scorer.release(wave)
            return trial.answer(done, self.selection, self.aggregation)

    def _wanted(self, trial: Trial, done: Sequence[Candidate]) -> int:
        """How many paths to sample next; 0 once there are enough or no more can be paid for."""
        if done and self.enough(done):
            return 0
        paid = trial.affords(len(done)) if done else None if self.budget is None else 1
        limits = [limit for limit in (self.n - len(done), self.wave, paid) if limit is not None]
        return min(limits)

    def _room(self, root: Branch) -> int:
        """How many completions of full length fit beside the prompt; at least one is tried."""
        cells = self.engine.context - self.engine.length(root)
        return max(1, min(self.engine.max_branches - 1, cells // self.sampling.max_tokens))

    def _score(
        self, candidates: Sequence[Candidate], completions: Sequence[Step]
    ) -> list[Candidate]:
        """Candidates with their completion, scored step by step, all of one depth together."""
        finished = [completion.finish not in ("length", "loop") for completion in completions]
        if self.scorer is None:
            return [
                replace(c, steps=(completion,), finished=end)
                for c, completion, end in zip(candidates, completions, finished, strict=True)
            ]
        stop = prompt_format(self.engine).step_stop
        pieces = self.engine.tokenizer.pieces
        parts = [split_steps(completion, stop, pieces) for completion in completions]
        grown = list(candidates)
        for depth in range(max(map(len, parts), default=0)):
            rows = [i for i, steps in enumerate(parts) if depth < len(steps)]
            steps = [parts[i][depth] for i in rows]
            scores = self.scorer.score([grown[i] for i in rows], steps)
            for i, step, score in zip(rows, steps, scores, strict=True):
                grown[i] = grown[i].grown(step, score, finished=False)
        return [replace(c, finished=end) for c, end in zip(grown, finished, strict=True)]


def greedy(spec: MethodSpec, engine: Engine, *_: object) -> SampleVote:
    """The most probable path. See `methods.build.Builder`."""
    sampling = Sampling(
        0, max_tokens=spec.max_tokens, stop_loops=spec.stop_loops, logprobs=spec.logprobs
    )
    return SampleVote(
        engine,
        None,
        1,
        sampling,
        spec.selection,
        elicit=spec.elicit,
        think_budget=spec.think_budget,
        budget=spec.budget,
    )


def sample(spec: MethodSpec, engine: Engine, scorer: Scorer | None, _: object) -> SampleVote:
    """`spec.width` paths. See `methods.build.Builder`."""
    sampling = Sampling(spec.temperature, spec.top_p, spec.max_tokens, stop_loops=spec.stop_loops)
    return SampleVote(
        engine,
        scorer,
        spec.width,
        sampling,
        spec.selection,
        spec.aggregation or "last",
        spec.elicit,
        spec.think_budget,
        spec.budget,
    )
