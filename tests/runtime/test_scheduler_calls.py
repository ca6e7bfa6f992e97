"""What a scheduler hands to engines: rows of many trees in one call, in a suitable order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.engine import Engine, Sampling
from runtime.load import open_engine
from runtime.options import EngineOptions
from runtime.scheduler import Scheduler
from runtime.scripted_engine import ScriptedEngine
from tests.runtime.recording import OPTIONS
from tests.runtime.test_scheduler import SCRIPT, Work, together


@pytest.mark.parametrize("form", ["gguf", "streams", "torch", "onnx"])
def test_a_model_answers_as_it_does_alone(
    form: str, reference: Callable[[str, str], Path], questions: list[str]
) -> None:
    from tests.conftest import REFERENCE

    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    path = {"torch": REFERENCE / "policy"}.get(form)
    path = path or reference("policy", {"onnx": "fp32"}.get(form, "f32"))

    def ask(question: str) -> Work:
        def work(engine: Engine) -> list[tuple[int, ...]]:
            with engine.open(engine.tokenizer.encode(question)) as root:
                steps = engine.extend(engine.fork(root, 2), Sampling(max_tokens=24, seed=1))
                return [step.token_ids for step in steps]

        return work

    options = EngineOptions(
        device="cpu", context=1024, max_branches=8, threads=1, streams=form == "streams"
    )
    works = [ask(question) for question in questions[:6]]
    with open_engine(path, options) as engine:
        alone = [work(engine) for work in works]
        assert together(engine, works) == alone


def test_rows_with_cells_of_their_own_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """llama.cpp computes together what follows slot by slot, and the rest after it."""
    engine = ScriptedEngine(SCRIPT, max_branches=8)
    monkeypatch.setattr(engine, "streams", True, raising=False)
    calls, evaluate = [], engine.evaluate

    def noted(slots: Sequence[int], *rest: Any, **named: Any) -> Any:
        calls.append(list(slots))
        return evaluate(slots, *rest, **named)

    monkeypatch.setattr(engine, "evaluate", noted)

    def path(number: int) -> Work:
        def work(engine: Engine) -> str:
            with engine.open(engine.tokenizer.encode(f"What all ask alike. {number} Q")) as root:
                return engine.extend([root], Sampling(max_tokens=4 + 5 * (number % 4)))[0].text

        return work

    works = [path(number) for number in range(12)]
    with Scheduler(engine, branches=4) as scheduler:
        jobs = [scheduler.submit(work) for work in works]
        list(scheduler.run())
    plain = ScriptedEngine(SCRIPT, max_branches=8)
    assert [job.result() for job in jobs] == [work(plain) for work in works]
    assert {len(slots) for slots in calls} == {1, 2, 3, 4}  # fewer and fewer at the end
    assert all(slots == [*range(len(slots))] for slots in calls)


def test_all_trees_think_in_the_same_calls(
    tmp_path: Path, tiny_thinker: Callable[..., Path]
) -> None:
    def work(number: int) -> Work:
        def think(engine: Engine) -> Any:
            with engine.open(engine.tokenizer.encode(f"How many is {number}?")) as root:
                steps = engine.extend(engine.fork(root, 3), Sampling(max_tokens=6, seed=number))
            return [step.token_ids for step in steps], engine.usage

        return think

    with open_engine(tiny_thinker(tmp_path / "thinker"), replace(OPTIONS, think="on")) as engine:
        before = engine.usage.calls
        alone = [work(0)(engine)]
        calls = engine.usage.calls - before
        alone += [work(number)(engine) for number in range(1, 5)]
        with Scheduler(engine) as scheduler:
            jobs = [scheduler.submit(work(number), width=3) for number in range(5)]
            list(scheduler.run())
            (counters,) = scheduler.counters()
        for job, (steps, _) in zip(jobs, alone, strict=True):
            assert job.result()[0] == steps
            assert job.result()[1].thoughts
        assert counters.calls <= calls + 3
