"""Answers sampled from a policy, with its states at every token and whether they were right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.artifact import PromptFormat
from convert.progress import Progress
from methods.baseline import SampleVote
from methods.catalog import MAJORITY
from methods.judge_features import step_features, token_features
from methods.problem import Problem
from methods.trial import split_steps
from profiles.records.record import question_seed
from runtime.engine import ContextFull, Engine, Sampling, Step
from runtime.load import open_engine
from runtime.options import EngineOptions
from runtime.probe import Probe
from runtime.prompt import ask_as, prompt_format
from runtime.scheduler import Scheduler

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
MOST = 6e4  # that a half holds


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    """One answer of a policy, with what its engine read kept small."""

    steps: tuple[Step, ...]
    states: Halves  # (T, W) of all layers, side by side
    answer: str | None
    right: bool

    @staticmethod
    def of(steps: Sequence[Step], answer: str | None, *, right: bool) -> SampledAnswer:
        """An answer in its steps; what few numbers have more than a half holds is cut."""
        read = np.stack([reading for step in steps for reading in _readings(step)])
        bare = tuple(replace(step, readings=()) for step in steps)
        return SampledAnswer(bare, np.clip(read, -MOST, MOST).astype(np.float16), answer, right)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Step ends of all answers, S of them, over T tokens; answers and questions are counted."""

    layers: tuple[int, ...]
    question: Ints  # (S,) of each step
    answer: Ints  # (S,)
    depth: Ints  # (S,) of a step in its answer, from 0
    last: Flags  # (S,)
    right: Flags  # (S,) of its answer in the end
    end: Ints  # (S,) where the step's tokens end
    begin: Ints  # (S,) where its answer's tokens begin
    features: Floats  # (S, F)
    tokens: Floats  # (T, 2) log-probability and entropy
    states: Halves  # (T, W) of all layers, side by side
    answers: tuple[str | None, ...]  # as read, by answer

    @property
    def questions(self) -> Ints:
        """Those that were answered, each once."""
        return np.unique(self.question)

    def columns(self, layers: Sequence[int]) -> Ints:
        """Where the states of some of the layers stand."""
        width = self.states.shape[1] // max(1, len(self.layers))
        starts = [width * self.layers.index(layer) for layer in layers]
        return np.concatenate([np.arange(0), *(np.arange(s, s + width) for s in starts)])


def written(
    policy: Path,
    form: PromptFormat | None,
    options: EngineOptions,
    layers: Sequence[int],
    problems: Sequence[Problem],
    n: int,
    sampling: Sampling,
    seed: int,
    progress: Progress,
) -> list[list[SampledAnswer]]:
    """`n` answers to every problem, many problems at once.

    Raises:
        Refusal: for a layer that the policy does not have, or whose states its format hides.
    """
    probe = Probe(tuple(layers))
    found: dict[str, list[SampledAnswer]] = {}
    with (
        open_engine(policy, options, probe=probe) as engine,
        Scheduler(engine, branches=options.max_branches // 2) as scheduler,
        progress.bar("answers", len(problems)) as bar,
    ):
        ask_as(engine, form)
        jobs = {
            scheduler.submit(
                lambda view, p=problem: _write(view, p, n, sampling, seed), width=n
            ): problem.id
            for problem in problems
        }
        for job in scheduler.run():
            found[jobs[job]] = job.result()
            bar.step("problems")
    return [found[problem.id] for problem in problems]


def _write(
    policy: Engine, problem: Problem, n: int, sampling: Sampling, seed: int
) -> list[SampledAnswer]:
    """Answers to one problem; none where it does not fit."""
    method = SampleVote(policy, None, n, sampling, MAJORITY.selection)
    try:
        candidates = method.solve(problem, question_seed(seed, problem.id)).candidates
    except ContextFull:
        return []
    stop, pieces = prompt_format(policy).step_stop, policy.tokenizer.pieces
    parts = [(c.reading.answer, split_steps(c.steps[0], stop, pieces)) for c in candidates]
    return [
        SampledAnswer.of(steps, answer, right=problem.accepts(answer))
        for answer, steps in parts
        if steps
    ]


def gathered(questions: Sequence[Sequence[SampledAnswer]], layers: tuple[int, ...]) -> Samples:
    """Answers by question as flat arrays."""
    rows: list[tuple[Any, ...]] = []
    tokens, states = list[Floats](), list[Halves]()
    answers: list[str | None] = []
    count = 0
    for number, answers_to in enumerate(questions):
        for one in answers_to:
            begin = count
            for depth, step in enumerate(one.steps):
                count += len(step.token_ids)
                last = depth == len(one.steps) - 1
                numbers = (number, len(answers), depth, last, one.right, count, begin)
                rows.append((*numbers, step_features(one.steps[:depth], step)))
            tokens.append(token_features(one.steps))
            states.append(one.states)
            answers.append(one.answer)
    columns: list[npt.NDArray[Any]] = [np.array([row[n] for row in rows]) for n in range(7)]
    return Samples(
        layers,
        question=columns[0],
        answer=columns[1],
        depth=columns[2],
        last=columns[3],
        right=columns[4],
        end=columns[5],
        begin=columns[6],
        features=np.stack([row[7] for row in rows]),
        tokens=np.concatenate(tokens),
        states=np.concatenate(states),
        answers=tuple(answers),
    )


def _readings(step: Step) -> Sequence[Floats]:
    """One of every token; empty ones where no layer was read."""
    return step.readings or [np.zeros(0, np.float32)] * len(step.token_ids)
