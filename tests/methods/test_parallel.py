"""Searches of many questions at once, on the reference pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from methods.build import MethodSpec, build
from methods.candidate import Answer
from methods.catalog import METHODS
from methods.own_scorers import LogprobScorer
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from runtime.engine import Engine
from runtime.lane import Counters
from runtime.load import open_engine
from runtime.options import EngineOptions
from runtime.prompt import prompt_format
from runtime.scheduler import Scheduler

Reference = Callable[[str, str], Path]
SPEC = MethodSpec("rebase", 16, max_tokens=160, step_tokens=48)


def solve(problem: Problem) -> Callable[[Engine, Engine], Answer]:
    def work(policy: Engine, reward: Engine) -> Answer:
        scorer = ProcessRewardScorer(reward, prompt_format(policy).step_stop)
        return build(SPEC, policy, scorer).solve(problem, 3)

    return work


def answers(
    reference: Reference, problems: Sequence[Problem], cells: int, branches: int
) -> tuple[list[Answer], list[Counters]]:
    options = EngineOptions(device="cpu", context=cells, max_branches=branches, threads=1)
    with (
        open_engine(reference("policy", "f32"), options) as policy,
        open_engine(reference("reward", "f32"), options) as reward,
        Scheduler(policy, reward) as scheduler,
    ):
        jobs = [scheduler.submit(solve(problem), width=16) for problem in problems]
        list(scheduler.run())
        return [job.result() for job in jobs], scheduler.counters()


def test_a_path_as_long_as_the_cache_is_cut_off(reference: Reference, questions: list[str]) -> None:
    options = EngineOptions(device="cpu", context=256, max_branches=8, threads=1)
    spec = MethodSpec("greedy", max_tokens=400)
    long = Problem("0", " ".join(questions[:5]))  # leaves room for a few tokens
    with open_engine(reference("policy", "q4_k_m"), options) as policy:
        assert len(policy.tokenizer.encode(long.question)) > 200
        with Scheduler(policy) as scheduler:
            job = scheduler.submit(lambda view: build(spec, view, None).solve(long, 0))
            list(scheduler.run())
            assert scheduler.counters()[0].cut_off == 1
    (candidate,) = job.result().candidates
    assert candidate.truncated


@pytest.mark.parametrize("name", [row.name for row in METHODS.values() if row.search.tree])
def test_a_prompt_that_fills_the_cache_leaves_paths_without_a_token(
    name: str, reference: Reference, questions: list[str]
) -> None:
    options = EngineOptions(device="cpu", context=256, max_branches=24, threads=1)
    spec = MethodSpec(METHODS[name].search.name, 4, max_tokens=40)
    with open_engine(reference("policy", "q4_k_m"), options) as policy:
        ids = policy.tokenizer.encode(" ".join(questions[:20]))[:256]
        assert len(ids) == 256
        scorer = LogprobScorer(policy.artifact.shape, "prod")
        with Scheduler(policy) as scheduler:
            problem = Problem("0", "?", prompt=tuple(ids))
            job = scheduler.submit(
                lambda view: build(spec, view, scorer).solve(problem, 0), width=4
            )
            list(scheduler.run())
    found = job.result()
    assert found.text is None
    assert len(found.stages) == 1  # a second one would write no more
    assert all(candidate.truncated for candidate in found.candidates)


def tree(answer: Answer) -> Any:
    return [[c.text for c in stage.candidates] for stage in answer.stages]


def test_a_cache_for_five_paths_finds_what_a_large_one_finds(
    reference: Reference, questions: list[str]
) -> None:
    problems = [Problem(str(n), text) for n, text in enumerate(questions[:2])]
    large, before = answers(reference, problems, 8192, 96)
    small, after = answers(reference, problems, 768, 96)
    assert all(counters.copied_tokens == 0 for counters in before)
    assert all(counters.copied_tokens > 500 for counters in after)
    for one, other in zip(large, small, strict=True):
        assert tree(one) == tree(other)
        assert one.text == other.text
