"""What holds of every tree search, whatever the scores and the width; and what tells them apart."""

from __future__ import annotations

import random
from dataclasses import asdict, replace

import numpy as np
import pytest

from methods.adaptive import certainty
from methods.beam import duplicated
from methods.budget import Budget, parse
from methods.build import MethodSpec, build
from methods.candidate import Answer, Stage
from methods.catalog import METHODS
from methods.dora import weighed
from methods.ets import chosen
from methods.particle import resample
from methods.scorers import ProcessRewardScorer
from methods.similarity import clusters, cosines, uniqueness
from runtime.engine import Usage
from runtime.flops import flops
from runtime.scheduler import Scheduler
from runtime.scripted_engine import ScriptedEngine
from tests.methods.six_steps import PROBLEM, judge, policy

TREES = [row.search.name for row in METHODS.values() if row.search.tree]


def search(name: str, seed: int, **asked: object) -> tuple[Answer, list[Stage], int]:
    draw = random.Random(seed)
    width = draw.randrange(1, 9)
    engine, scorer = policy(width, draw.choice((1e-6, 1.0, 6.0))), judge(width, draw)
    stages: list[Stage] = []
    spec = MethodSpec(name, width, max_tokens=60, step_tokens=24, **asked)  # type: ignore[arg-type]
    answer = build(spec, engine, scorer, stages.append).solve(PROBLEM, seed)
    assert not engine._slots
    assert not scorer.engine._slots  # type: ignore[attr-defined]
    return answer, stages, width


def counted(usage: Usage) -> dict[str, float]:
    return {name: n for name, n in asdict(usage).items() if not name.endswith("_s")}


@pytest.mark.parametrize("name", TREES)
def test_every_tree_ends_within_its_bounds(name: str) -> None:
    for seed in range(12):
        answer, stages, width = search(name, seed)
        assert 1 <= len(stages) <= 25
        for stage in stages:
            assert sum(stage.shares) == stage.budget == len(stage.candidates) <= width
        assert 1 <= len(answer.candidates) <= width
        most = {"beam": 4 * width}.get(name, width)
        ended = sum(c.finished for stage in stages for c in stage.candidates)
        assert sum(c.finished for c in answer.candidates) <= min(ended, most) or name == "particle"
        longest = max(c.tokens for c in answer.candidates)
        assert longest < 60 + 24 + 40  # a step over the limit, and what was asked for


@pytest.mark.parametrize("name", TREES)
def test_the_same_seed_repeats_a_search_also_among_others(name: str) -> None:
    alone = [search(name, seed)[0] for seed in range(3)]
    again = [search(name, seed)[0] for seed in range(3)]
    assert [a.candidates for a in alone] == [a.candidates for a in again]
    engine, scorer = policy(8, 1.0), judge(8, random.Random(0))

    def solve(seed: int, one: object, other: object) -> Answer:
        scored = ProcessRewardScorer(other, "\n\n")  # type: ignore[arg-type]
        spec = MethodSpec(name, 4, max_tokens=60, step_tokens=24)
        return build(spec, one, scored).solve(PROBLEM, seed)  # type: ignore[arg-type]

    wanted = [solve(seed, engine, scorer.engine) for seed in range(4)]
    with Scheduler(engine, scorer.engine, branches=8) as scheduler:
        jobs = [
            scheduler.submit(lambda a, b, seed=seed: solve(seed, a, b), width=4)
            for seed in range(4)
        ]
        list(scheduler.run())
        found = [job.result() for job in jobs]
    assert [a.candidates for a in found] == [a.candidates for a in wanted]
    assert [a.usage.decode_tokens for a in found] == [a.usage.decode_tokens for a in wanted]


def test_beam_shares_its_width_among_the_best() -> None:
    assert duplicated([0.2, 0.9, 0.5, 0.9], 2, 8) == [0, 4, 0, 4]
    assert duplicated([0.2, 0.9, 0.5], 2, 5) == [0, 3, 2]
    assert duplicated([0.2], 2, 4) == [4]
    assert duplicated([0.1, 0.1], 0, 3) == [3, 0]  # of equals the earlier one
    assert duplicated([], 2, 8) == []


def test_dvts_keeps_its_subtrees_apart() -> None:
    engine, scorer, stages = policy(8, 1e-6), judge(8, random.Random(1)), list[Stage]()
    spec = MethodSpec("dvts", 8, max_tokens=12, own={"beam-width": 4})
    answer = build(spec, engine, scorer, stages.append).solve(PROBLEM, 0)
    first, second = stages[0].candidates, stages[1].shares
    for part in (slice(0, 4), slice(4, 8)):
        scores = [c.score for c in first[part]]
        assert second[part].index(4) == scores.index(max(scores))
        assert sum(second[part]) == 4
    assert len(answer.candidates) == 8


def test_systematic_resampling_by_hand() -> None:
    """Odds 1, 3 and 0: a quarter and three quarters of four marks, wherever the first one is."""
    scores = [0.5, 0.75, 0.0]
    for start in (0.0, 0.5, 0.99):
        assert resample(scores, 4, start) == [1, 3, 0]
    assert resample([0.5, 0.5], 1, 0.4) == [1, 0]  # the mark stands at 0.4
    assert resample([0.5, 0.5], 1, 0.6) == [0, 1]
    assert resample([0.5, 0.5, 0.5], 2, 0.0) == [1, 1, 0]  # marks at 0 and 1/2
    assert resample([0.5, 0.5, 0.5], 2, 0.9) == [0, 1, 1]  # at 0.45 and 0.95
    assert sum(resample([1.0, 1.0, 0.2], 7, 0.3)) == 7


def test_an_ended_particle_drawn_twice_counts_twice() -> None:
    drawn = [search("particle", seed) for seed in range(12)]
    assert all(len(answer.candidates) == width for answer, _, width in drawn)
    assert any(len({c.branch.id for c in a.candidates}) < width for a, _, width in drawn)


def test_uniqueness_by_hand() -> None:
    """Two alike and one apart: e / (2 e + 1) each, and e / (e + 2)."""
    states = np.array([[1, 0], [2, 0], [0, 1]], np.float32)
    e = np.e
    assert uniqueness(cosines(states)) == pytest.approx([e / (2 * e + 1)] * 2 + [e / (e + 2)])
    assert uniqueness(cosines(states), 0.01) == pytest.approx([0.5, 0.5, 1.0])
    assert np.exp(np.array(weighed([0.7, 0.5], [0.5, 1.0], 0.1)) / 0.1) == pytest.approx(
        [np.exp(7) / 2, np.exp(5)]
    )


def test_clusters_by_average_linkage() -> None:
    angles = np.radians([0, 10, 90, 95, 45])
    similar = cosines(np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))
    assert clusters(similar, 0.05) == [0, 0, 1, 1, 2]
    assert clusters(similar, 2.0) == [0] * 5
    assert clusters(similar, 0.0) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "own"), [("dora", {"similarity": 1e9}), ("ets", {"node-price": 0.0})]
)
def test_states_cost_no_token(name: str, own: dict[str, float]) -> None:
    """Where neither has a reason to differ from REBASE, it is REBASE to the last token."""
    for seed in range(12):
        found, stages, _ = search(name, seed, own=own)
        plain, others, _ = search("rebase", seed)
        assert [stage.shares for stage in stages] == [stage.shares for stage in others]
        assert found.candidates == plain.candidates
        assert counted(found.usage) == counted(plain.usage)


def test_what_ets_keeps_by_hand() -> None:
    """Two siblings (steps 1-2, 1-3) and one of another branch (4-5): five steps, two clusters.

    First gains: .5 - 2/5 + w/2, .3 - 2/5 + w/2, .2 - 2/5 + w/2; then .3 - 1/5 for the sibling of
    the first one's cluster, and .2 - 2/5 + w/2 for the other.
    """
    worth, nodes, alike = [0.5, 0.3, 0.2], [{1, 2}, {1, 3}, {4, 5}], [0, 0, 1]
    assert chosen(worth, nodes, alike, 1.0, 1.5) == [0, 1, 2]
    assert chosen(worth, nodes, alike, 1.0, 0.3) == [0, 1]
    assert chosen(worth, nodes, alike, 2.0, 0.3) == [0]
    assert chosen(worth, nodes, alike, 2.0, 1.5) == [0, 2]


def test_how_sure_a_vote_is() -> None:
    """1 - I_1/2(v1 + 1, v2 + 1): 15/16 after three alike, 31/32 after four, 1/2 of a tie."""
    assert certainty(3, 0) == pytest.approx(15 / 16)
    assert certainty(4, 0) == pytest.approx(31 / 32)
    assert certainty(2, 2) == pytest.approx(0.5)
    assert certainty(5, 1) == pytest.approx(120 / 128)


def test_an_adaptive_vote_stops_when_it_is_sure() -> None:
    sure = ScriptedEngine({"step by step.": {" The answer is: 5": 1}})
    spec = MethodSpec("adaptive", 32, max_tokens=40)
    assert len(build(spec, sure, None).solve(PROBLEM, 0).candidates) == 4
    unsure = ScriptedEngine({"step by step.": {f" The answer is: {n}": 1 for n in range(9)}})
    assert len(build(spec, unsure, None).solve(PROBLEM, 0).candidates) == 32
    spec = replace(spec, own={"wave": 2, "confidence": 0.8})
    assert len(build(spec, sure, None).solve(PROBLEM, 0).candidates) == 2


def test_a_budget_as_it_is_written() -> None:
    assert parse("2000tok") == parse("2e3 tokens") == parse(2000) == Budget(2000, "tok")
    assert parse("5s") == Budget(5, "s")
    assert parse("4T") == parse("4000G") == Budget(4, "T")
    for wrong in ("", "4", "-4T", "0s", "4 apples", "nan", 0.0, "inf", "1e308s"):
        with pytest.raises(ValueError, match="cannot be read; choose like 2000tok, 5s, 4T"):
            parse(wrong)


@pytest.mark.parametrize("name", ["sample", *TREES])
def test_a_budget_ends_every_search_and_what_is_beyond_it_is_told(name: str) -> None:
    def solve(budget: Budget | None) -> Answer:
        scorer = judge(8, random.Random(3))
        spec = MethodSpec(name, 8, max_tokens=60, budget=budget)
        return build(spec, policy(8, 0.2), scorer).solve(PROBLEM, 1)

    free = solve(None)
    assert free.overshoot is None
    tokens = free.usage.tokens + free.scorer_usage.tokens
    shape = policy(1, 1.0).artifact.shape
    work = (flops(free.usage, shape) + flops(free.scorer_usage, shape)) / 1e12
    for whole, unit in ((tokens, "tok"), (work, "T")):
        half = solve(Budget(whole / 2, unit))  # type: ignore[arg-type]
        found = half.usage.tokens + half.scorer_usage.tokens
        assert found < tokens
        assert half.candidates
        if unit == "tok":
            assert half.spent == found
            assert half.overshoot == pytest.approx(max(0, found / (whole / 2) - 1))
        ample = solve(Budget(2 * whole, unit))  # type: ignore[arg-type]
        assert ample.overshoot == 0
        if name != "sample":  # samples under a budget come in waves
            assert ample.candidates == free.candidates


def test_seconds_end_a_search_too() -> None:
    spec = MethodSpec("rebase", 4, max_tokens=60, budget=Budget(1e-9, "s"))
    answer = build(spec, policy(4, 1e-6), judge(4, random.Random(0))).solve(PROBLEM, 0)
    assert len(answer.stages) == 1
    assert answer.overshoot is not None
    assert answer.overshoot > 0
