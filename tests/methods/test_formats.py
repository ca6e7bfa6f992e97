"""Every method of the catalog on every format, and with thoughts: one question of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from methods.build import MethodSpec, build
from methods.catalog import METHODS
from methods.problem import read_problems
from methods.scorers import ProcessRewardScorer
from runtime.engine import Engine
from runtime.load import open_engine
from runtime.options import EngineOptions, Thinking
from runtime.prompt import prompt_format
from tests.conftest import BENCHMARK, REFERENCE

WIDTH = 3
FORMS: dict[str, tuple[str, str, Thinking]] = {  # policy, level; both models' format is the level's
    "gguf": ("policy", "q4_k_m", "off"),
    "onnx": ("policy", "fp32", "off"),
    "torch": ("policy", "", "off"),
    "thinking": ("thinker", "q4_k_m", "on"),
    "gated": ("thinker", "q4_k_m", "gated"),
}


@dataclass(frozen=True)
class Models:
    policy: Engine
    reward: Engine
    thinks: bool


@pytest.fixture(scope="module", params=FORMS)
def models(
    request: pytest.FixtureRequest, reference: Callable[[str, str], Path]
) -> Iterator[Models]:
    role, level, think = FORMS[request.param]
    if request.param == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    policy, reward = (
        reference(name, level) if level else REFERENCE / name for name in (role, "reward")
    )
    plain = EngineOptions(device="cpu", context=1024, max_branches=2 * WIDTH + 2, threads=1)
    thoughtful = EngineOptions(
        device="cpu", context=1024, max_branches=2 * WIDTH + 2, threads=1, think=think
    )
    with open_engine(policy, thoughtful) as one, open_engine(reward, plain) as other:
        yield Models(one, other, think != "off")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_answers_on_every_format_and_with_thoughts(name: str, models: Models) -> None:
    row, problem = METHODS[name], read_problems(BENCHMARK, 1)[0]
    scorer = ProcessRewardScorer(models.reward, prompt_format(models.policy).step_stop)
    spec = MethodSpec(
        row.search.name,
        WIDTH,
        max_tokens=60,
        step_tokens=30,
        selection=row.selection,
        own={"beam-width": 2, "wave": 2},
    )
    before = models.policy.usage
    answer = build(spec, models.policy, scorer if row.needs_reward else None).solve(problem, 0)
    assert 1 <= len(answer.candidates) <= row.search.paths(WIDTH)
    assert any(candidate.reading.answer for candidate in answer.candidates)
    assert (answer.scorer_usage.tokens > 0) == row.needs_reward
    assert (answer.usage.thought_tokens > 0) == models.thinks
    assert answer.usage == models.policy.usage - before
    assert (len(answer.stages) > 0) == row.search.tree
    with models.policy.open([1]) as left:  # what the search held is free again
        assert left.id == 0
        assert len(models.policy.fork(left, models.policy.max_branches - 1)) == 2 * WIDTH + 1
