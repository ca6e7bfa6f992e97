"""The tree, on a scripted policy and a scripted judge: every number can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from methods.build import MethodSpec, build
from methods.candidate import Candidate, Stage
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from runtime.engine import Branch, Step, Usage
from runtime.load import EngineOptions, open_engine
from runtime.scripted_engine import ScriptedEngine

PROBLEM = Problem("0", "2 + 2 + 2", "6")
PROMPT = "step by step."
SCRIPT = {
    PROMPT: {" good\n\n": 1, " bad\n\n": 1},
    "good\n\n": {"fine\n\n": 1, "poor\n\n": 1},
    "bad\n\n": {"fine\n\n": 1, "poor\n\n": 1},
    "fine\n\n": {"The answer is: 6\n\n": 1},
    "poor\n\n": {"The answer is: 9\n\n": 1},
}
SCORES = {"good": 0.9, "bad": 0.1, "fine": 0.8, "poor": 0.2, "The answer is: 6": 0.95}


class Judge:
    """Scores a step by its text."""

    def __init__(self) -> None:
        self.usage, self.seconds = Usage(), 0.0
        self.released: list[int] = []
        self.aggregation = "last"

    @contextmanager
    def open(self, problem: Problem, root: Branch) -> Iterator[None]:  # noqa: ARG002
        yield

    def score(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[float]:
        assert len(candidates) == len(steps)
        return [SCORES.get(step.text.strip(), 0.3) for step in steps]

    def holds(self, branch: Branch) -> bool:  # noqa: ARG002
        return True

    def release(self, branches: Sequence[Branch]) -> None:
        self.released += [branch.id for branch in branches]


def _solve(
    width: int, engine: ScriptedEngine | None = None, **options: object
) -> tuple[ScriptedEngine, object, list[Stage]]:
    engine = engine or ScriptedEngine(SCRIPT)
    levels: list[Stage] = []
    spec = MethodSpec("rebase", width, **options)  # type: ignore[arg-type]
    answer = build(spec, engine, Judge(), levels.append).solve(PROBLEM, seed=1)
    return engine, answer, levels


def test_the_tree_branches_and_keeps_its_budget() -> None:
    engine, answer, levels = _solve(8)
    assert len(levels) == 3
    for before, level in zip([None, *levels], levels, strict=False):
        assert sum(level.shares) == level.budget == len(level.candidates) == 8
        if before is not None:
            frontier = [c for c in before.candidates if not c.finished]
            assert len(level.shares) == len(frontier)
            parents = [c.branch.parent for c in level.candidates]
            assert [parents.count(c.branch.id) for c in frontier] == list(level.shares)
    assert max(levels[1].shares) > 1
    assert 0 in levels[1].shares  # a bad first step was pruned
    assert answer.text == "6"
    assert answer.dropped == sum(level.shares.count(0) for level in levels)
    assert not engine._slots


def test_levels_run_as_one_batch() -> None:
    engine, _, levels = _solve(8)
    longest = sum(max(len(c.steps[-1].token_ids) for c in level.candidates) for level in levels)
    assert len(engine.batches) == 1 + longest
    assert max(engine.batches) == 8


def test_a_finished_path_shrinks_the_budget() -> None:
    script = SCRIPT | {"good\n\n": {"The answer is: 6\n\n": 1}}
    _, answer, levels = _solve(8, ScriptedEngine(script), balance=5.0)
    done = sum(c.finished for c in levels[1].candidates)
    assert 0 < done < 8
    assert levels[2].budget == 8 - done
    assert len(answer.candidates) == 8


def test_siblings_share_their_prefix() -> None:
    engine, answer, levels = _solve(8)
    prompt = answer.usage.prefill_tokens
    decoded = sum(len(c.steps[-1].token_ids) for level in levels for c in level.candidates)
    assert engine.usage.decode_tokens == decoded  # nothing was ever evaluated twice
    assert (
        engine.usage.prefill_tokens
        == prompt
        == len(b"Q: 2 + 2 + 2\nA: Let's think " + b"step by step.")
    )


def test_paths_cut_off_are_asked_for_their_answer() -> None:
    script = {PROMPT: {" on\n\n": 1}, "on\n\n": {"on\n\n": 1}, "The answer is:": {" 5\n": 1}}
    _, answer, _ = _solve(4, ScriptedEngine(script), max_tokens=20)
    assert [c.finished for c in answer.candidates] == [False] * 4
    assert answer.text == "5"
    _, answer, _ = _solve(4, ScriptedEngine(script), max_tokens=20, elicit=False)
    assert answer.text is None


def test_a_step_without_a_stop_goes_on() -> None:
    script = {PROMPT: {" a very long first step\n\n": 1}, "step\n\n": {"The answer is: 6\n\n": 1}}
    _, answer, levels = _solve(2, ScriptedEngine(script), step_tokens=10)
    assert levels[0].candidates[0].steps[0].finish == "length"
    assert answer.text == "6"
    assert len(levels) > 2


def test_rebase_needs_a_scorer() -> None:
    with pytest.raises(ValueError, match="rebase needs a reward model"):
        build(MethodSpec("rebase", 4), ScriptedEngine(SCRIPT), None)


def test_votes_read_one_run() -> None:
    engine = ScriptedEngine(SCRIPT)
    spec = MethodSpec("sample", 16, selection="majority")
    answer = build(spec, engine, Judge()).solve(PROBLEM, seed=0)
    assert len(answer.candidates) == 16
    assert {len(c.steps) for c in answer.candidates} == {3}
    assert all(len(c.scores) == 3 for c in answer.candidates)
    assert not engine._slots


def test_samples_come_in_waves_where_the_cache_is_small() -> None:
    engine = ScriptedEngine(SCRIPT, context=400)
    spec = MethodSpec("sample", 8, selection="majority", max_tokens=100)
    answer = build(spec, engine, None).solve(PROBLEM, seed=0)
    assert len(answer.candidates) == 8
    assert max(engine.batches) == 3


def test_only_visible_text_enters_the_tree_and_the_reward_model(
    reference: Callable[[str, str], Path],
) -> None:
    """The combined method: a tree on a thinking engine, with no code of its own."""
    options = EngineOptions(device="cpu", threads=1)
    thinker = open_engine(reference("thinker", "q8_0"), replace(options, think="on"))
    reward = open_engine(reference("reward", "q8_0"), options)
    with thinker, reward:
        scorer = ProcessRewardScorer(reward, "ки\n")
        question = Problem("0", "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?")
        answer = build(MethodSpec("rebase", 4), thinker, scorer).solve(question, 0)
    visible = answer.usage.decode_tokens
    steps = {id(s): s for level in answer.stages for c in level.candidates for s in c.steps}
    assert answer.usage.thought_tokens == 7 * answer.usage.thoughts > 7 * visible * 0.9
    assert visible <= sum(len(s.token_ids) for s in steps.values()) + 16 * 4
    for step in steps.values():
        assert step.text == thinker.tokenizer.decode(step.token_ids)
    read = answer.scorer_usage.tokens  # the question, every step and its tag, and nothing more
    assert read < 60 + sum(len(s.token_ids) + 2 for s in steps.values())
