"""What holds of every tree, whatever the allocation, the scores and the width."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from methods import rebase, tree
from methods.allocate import Allocation, allocate
from methods.build import MethodSpec, build
from methods.candidate import Answer, Stage
from methods.rebase import Rebase
from methods.scorers import ProcessRewardScorer
from runtime.engine import Sampling
from tests.methods.six_steps import PROBLEM, judge, policy

MODES: tuple[Allocation, ...] = ("ceil", "round", "ceil_fp32")


def search(seed: int, mode: Allocation, depth: int = 5) -> tuple[Answer, list[Stage], int]:
    draw = random.Random(seed)
    width, balance = draw.randrange(1, 9), draw.choice((0.02, 0.1, 1.0, 50.0))
    engine, scorer = policy(width, draw.choice((1e-6, 1.0, 6.0))), judge(width, draw)
    levels: list[Stage] = []
    method = Rebase(
        engine, scorer, width, Sampling(max_tokens=24), 1000,
        balance=balance, allocation=mode, max_depth=depth, watch=levels.append,
    )  # fmt: skip
    answer = method.solve(PROBLEM, seed)
    assert not engine._slots
    assert not scorer.engine._slots  # type: ignore[attr-defined]
    return answer, levels, width


@pytest.mark.parametrize("mode", MODES)
def test_every_search_ends_within_its_bounds(mode: Allocation) -> None:
    overspent = 0
    for seed in range(60):
        answer, levels, width = search(seed, mode)
        assert 1 <= len(levels) <= 5
        finished = 0
        for level in levels:
            assert level.budget == width - finished > 0
            assert sum(level.shares) == len(level.candidates) >= 1
            most = {"ceil": 0, "round": level.budget, "ceil_fp32": 1}[mode]
            assert level.budget <= sum(level.shares) <= level.budget + most
            overspent += sum(level.shares) > level.budget
            finished += sum(candidate.finished for candidate in level.candidates)
        alive = sum(not candidate.finished for candidate in levels[-1].candidates)
        assert alive == 0 or len(levels) == 5 or finished >= width
        assert len(answer.candidates) == finished + alive
        assert answer.dropped == sum(level.shares.count(0) for level in levels)
    assert (overspent > 0) == (mode == "round")


def test_a_deep_tree_stops_at_the_depth_limit() -> None:
    for mode in MODES:
        answer, levels, _ = search(0, mode, depth=tree.MAX_DEPTH)
        assert len(levels) <= tree.MAX_DEPTH
        assert answer.candidates


def test_a_count_too_many_ends_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """More paths finish than the budget was: the rest is cut off, and nothing is allocated."""

    def generous(scores: list[float], width: int, *rest: object) -> list[int]:
        counts = allocate(scores, width, *rest)  # type: ignore[arg-type]
        counts[-1] += 2
        return counts

    monkeypatch.setattr(rebase, "allocate", generous)
    for seed in range(40):
        engine = policy(8, 6.0)  # room for what is given out too much
        method = Rebase(engine, judge(8, random.Random(seed)), 3, Sampling(max_tokens=24), 1000)
        answer = method.solve(PROBLEM, seed)
        assert len(answer.candidates) >= 3
        assert not engine._slots


def test_the_reward_models_own_aggregation_is_the_default() -> None:
    scorer = judge(4, random.Random(1))
    engine = scorer.engine
    assert engine.artifact.reward is not None
    protocol = replace(engine.artifact.reward, aggregation="min")
    engine.artifact = replace(engine.artifact, reward=protocol)
    scorer = ProcessRewardScorer(engine, "\n\n")
    for asked, used in ((None, "min"), ("prod", "prod")):
        for spec in (MethodSpec("rebase", 2), MethodSpec("sample", 2)):
            made = build(replace(spec, aggregation=asked), policy(4, 1.0), scorer)
            assert made.solve(PROBLEM, 0).aggregation == used
    made = build(MethodSpec("greedy"), policy(1, 1.0), None)
    assert made.solve(PROBLEM, 0).aggregation == "last"
