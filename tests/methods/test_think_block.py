"""A block of thoughts ends at its budget; the path goes on to its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from methods.build import MethodSpec, build
from methods.candidate import Answer, Candidate
from methods.problem import Problem
from methods.think_block import CLOSING, think_block
from runtime.engine import Branch, Step, Usage
from runtime.prompt import prompt_tokens
from runtime.scheduler import Scheduler
from runtime.scripted_engine import ScriptedEngine

PROBLEM = Problem("0", "2 + 2 + 2", "6")
ENDLESS = {
    "step by step.": {"<think>": 1},
    "<think>": {"hm, ": 1},
    "hm, ": {"hm, ": 1, "no: ": 1},
    "no: ": {"hm, ": 1},
    "</think>\n\n": {"The answer is: 6": 1},
    "\n\n The answer is:": {" 7": 1},
}
STEPS = {
    "step by step.": {"<think>\n\n": 1},
    "<think>\n\n": {"The answer is: 9\n\n": 1},
    "9\n\n": {"go on\n\n": 1},
    "go on\n\n": {"go on\n\n": 1},
    "</think>\n\n": {"The answer is: 6\n\n": 1},
}
LOOP = {"step by step.": {"so it is": 1}, "so it is": {"so it is": 1}, "answer is:": {" 6": 1}}


class Judge:
    """Likes all steps alike."""

    aggregation = "last"

    def __init__(self) -> None:
        self.usage, self.seconds = Usage(), 0.0

    @contextmanager
    def open(self, problem: Problem, root: Branch) -> Iterator[None]:  # noqa: ARG002
        yield

    def score(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[float]:
        assert len(candidates) == len(steps)
        return [0.5] * len(steps)

    def holds(self, branch: Branch) -> bool:  # noqa: ARG002
        return True

    def release(self, branches: Sequence[Branch]) -> None:
        pass


def _solve(script: Mapping[str, Mapping[str, float]], search: str, **options: object) -> Answer:
    spec = MethodSpec(search, **options)  # type: ignore[arg-type]
    judge = Judge() if search == "rebase" else None
    engine = ScriptedEngine(script)
    return build(spec, engine, judge).solve(PROBLEM, seed=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("search", ["greedy", "sample"])
def test_the_block_is_closed_and_the_answer_follows(search: str) -> None:
    width = 1 if search == "greedy" else 3
    options = {"width": width, "selection": "majority", "max_tokens": 100}
    answer = _solve(ENDLESS, search, think_budget=40, **options)
    assert answer.text == "6"
    for candidate in answer.candidates:
        thoughts, _, rest = candidate.text.partition(CLOSING)
        assert len(thoughts) == 40  # a byte is a token
        assert (rest, candidate.finished) == ("The answer is: 6", True)
        assert len(candidate.steps[0].token_ids) == len(candidate.text)
    cut = _solve(ENDLESS, search, **options)
    assert all(not c.finished for c in cut.candidates)
    assert all("</think>" in c.text and c.reading.answer == "7" for c in cut.candidates)


def test_the_thoughts_are_those_of_a_path_without_a_budget() -> None:
    options = {"width": 4, "selection": "majority", "max_tokens": 90, "elicit": False}
    free = _solve(ENDLESS, "sample", **options)
    held = _solve(ENDLESS, "sample", think_budget=30, **options)
    for one, other in zip(free.candidates, held.candidates, strict=True):
        assert one.text[:30] == other.text[:30]


def test_a_path_without_a_block_is_not_touched() -> None:
    script = {"step by step.": {"one two three four. The answer is: 6": 1}}
    plain = _solve(script, "greedy", max_tokens=100)
    held = _solve(script, "greedy", max_tokens=100, think_budget=5)
    assert held.candidates[0].steps == plain.candidates[0].steps


def test_a_tree_closes_the_block_and_takes_no_answer_from_inside() -> None:
    answer = _solve(STEPS, "rebase", width=2, think_budget=40)
    assert answer.text == "6"
    for candidate in answer.candidates:
        assert candidate.finished
        assert candidate.text.count("</think>") == 1
        assert candidate.text.index("</think>") > 40
    assert answer.candidates[0].steps[1].text == "The answer is: 9\n\n"


@pytest.mark.parametrize("room", [20, 40, 45])
@pytest.mark.parametrize("search", ["greedy", "rebase"])
def test_a_block_in_a_path_as_long_as_the_cache_is_cut_off(search: str, room: int) -> None:
    empty = ScriptedEngine({})
    context = len(prompt_tokens(empty, PROBLEM.question)) + room
    engine = ScriptedEngine(ENDLESS, context=context)
    judge = Judge() if search == "rebase" else None
    spec = MethodSpec(search, max_tokens=100, think_budget=40)
    with Scheduler(engine) as scheduler:
        job = scheduler.submit(lambda view: build(spec, view, judge).solve(PROBLEM, seed=1))  # type: ignore[arg-type]
        list(scheduler.run())
    (candidate,) = job.result().candidates
    assert not candidate.finished
    assert candidate.text == candidate.text.replace("</think>", "")
    assert candidate.tokens == room


def test_a_block_that_the_prompt_opened_is_one() -> None:
    engine = ScriptedEngine({})
    encode = engine.tokenizer.encode
    assert think_block(engine, encode("user\n<think>\n"), None).holds("hm")
    assert not think_block(engine, encode("user\n<think>\n"), None).holds("hm</think> 6")
    assert not think_block(engine, encode("user\n"), None).holds("hm")


@pytest.mark.parametrize("search", ["greedy", "rebase"])
def test_a_looping_path_is_ended_and_asked(search: str) -> None:
    options = {"max_tokens": 400, "step_tokens": 400}
    ended, free = (_solve(LOOP, search, stop_loops=on, **options) for on in (True, False))
    assert (ended.text, free.text) == ("6", "6")
    assert ended.usage.decode_tokens < 60 < 400 <= free.usage.decode_tokens
    assert [c.finished for c in ended.candidates] == [False]


def test_a_tree_sees_a_loop_that_goes_over_many_steps() -> None:
    script = {
        "step by step.": {"it is\n\n": 1},
        "it is\n\n": {"it is\n\n": 1},
        "answer is:": {" 6": 1},
    }
    answer = _solve(script, "rebase", stop_loops=True, max_tokens=400)
    assert answer.text == "6"
    assert len(answer.stages) == 6  # a step of 7, and 32 tokens that repeat it
