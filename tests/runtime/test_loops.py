"""Loops are found whatever their block, and nothing else is taken for one."""

from __future__ import annotations

import random

import pytest

from runtime.engine import Sampling
from runtime.loops import LEAST, LoopWatch, loops
from runtime.scripted_engine import ScriptedEngine


@pytest.mark.parametrize("period", [1, 2, 3, 7, 20, 100])
def test_a_block_that_stands_four_times_is_a_loop(period: int) -> None:
    before, block = list(range(1000, 1050)), list(range(period))
    copies = max(4, -(-(LEAST + period) // period))
    watch = LoopWatch()
    found = [watch.take(token) for token in before + block * copies]
    assert found.index(True) == len(before) + period + max(3 * period, LEAST) - 1
    assert not loops(before + block * 3 + before)


def test_a_block_with_a_repetition_of_its_own_is_found() -> None:
    assert loops([1, 2, 3, 1, 2, 3, 1, 2, 4, 5] * 8)
    assert loops([7, 7, 7, 7, 7, 7, 1] * 10)


def test_random_texts_and_counting_are_none() -> None:
    draw = random.Random(0)
    assert not loops(draw.choices(range(50), k=5000))
    assert not loops([token for n in range(500) for token in (1, 2, 3, n + 9, 4)])


def test_an_engine_ends_a_path_that_loops_only_where_it_is_told_to() -> None:
    engine = ScriptedEngine({"Q:": {" so it is": 1}, " so it is": {" so it is": 1}})
    with engine.open(engine.tokenizer.encode("Q:")) as root:
        plain, watched = engine.fork(root, 2)
        greedy = Sampling(temperature=0, max_tokens=120)
        (step,) = engine.extend([plain], greedy)
        assert (step.finish, len(step.token_ids)) == ("length", 120)
        (step,) = engine.extend([watched], Sampling(0, max_tokens=120, stop_loops=True))
        assert (step.finish, len(step.token_ids)) == ("loop", 9 + 32)
