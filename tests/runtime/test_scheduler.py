"""Many jobs on one engine: the answers each would have alone, in fewer calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runtime.engine import ContextFull, Engine, Sampling, Step
from runtime.jobs import Cancelled
from runtime.scheduler import Scheduler
from runtime.scripted_engine import ScriptedEngine
from tests.runtime.cell_engine import CellEngine

SCRIPT = {
    "Q": {" Step 1: one. ": 1, " Step 1: two, three. ": 1},
    ". ": {"More of it. ": 2, "Less. ": 1, "And so on. ": 1},
}
STEP = Sampling(temperature=1.3, max_tokens=30, stop=(". ",))
Work = Callable[[Engine], Any]


def search(number: int, width: int = 6, levels: int = 3) -> Work:
    """A small tree search, that keeps every other branch."""

    def work(engine: Engine) -> list[list[Step]]:
        found = []
        with engine.open(engine.tokenizer.encode(f"{number} Q")) as root:
            branches = engine.fork(root, width)
            for _ in range(levels):
                found.append(engine.extend(branches, replace(STEP, seed=number)))
                kept, gone = branches[::2], branches[1::2]
                engine.release(gone)
                branches = [child for branch in kept for child in engine.fork(branch, 2)]
                engine.release(kept)
        return found

    return work


def together(engine: Engine, works: Sequence[Work], **options: Any) -> list[Any]:
    with Scheduler(engine, **options) as scheduler:
        jobs = [scheduler.submit(work, width=6) for work in works]
        ended = list(scheduler.run())
        assert sorted(job.age for job in ended) == [job.age for job in jobs]
        (counters,) = scheduler.counters()
        assert counters.live == 0
        return [job.result() for job in jobs]


def texts(found: Any) -> Any:
    return [[step.text for step in level] for level in found]


def test_company_changes_no_answer_and_no_cost() -> None:
    def measured(number: int) -> Work:
        def work(engine: Engine) -> Any:
            before = engine.usage
            return search(number)(engine), engine.usage - before

        return work

    works = [measured(number) for number in range(12)]
    engine = ScriptedEngine(SCRIPT)
    alone = [work(engine) for work in works]
    single = len(engine.batches)
    engine = ScriptedEngine(SCRIPT)
    shared = together(engine, works)
    assert len(engine.batches) < single / 4
    for (steps, cost), (other_steps, other_cost) in zip(alone, shared, strict=True):
        assert steps == other_steps
        for name in ("prefill_tokens", "decode_tokens", "context_tokens", "logit_rows"):
            assert getattr(cost, name) == getattr(other_cost, name)


def test_the_same_jobs_give_the_same_calls() -> None:
    batches = []
    for _ in range(2):
        engine = ScriptedEngine(SCRIPT)
        together(engine, [search(number) for number in range(9)], branches=20)
        batches.append(engine.batches)
    assert batches[0] == batches[1]


def test_jobs_are_admitted_while_there_are_too_few_branches() -> None:
    engine = ScriptedEngine(SCRIPT)
    together(engine, [search(number) for number in range(40)], branches=18)
    assert max(engine.batches) <= 3 * 18
    steady = engine.batches[5:-30]
    assert np.mean(steady) > 12
    engine = ScriptedEngine(SCRIPT)
    together(engine, [search(number) for number in range(6)], branches=1)
    assert max(engine.batches) == 6  # one after the other


@pytest.mark.parametrize("branches", [4, 256])
def test_a_cache_for_five_paths_gives_the_answers_of_a_large_one(branches: int) -> None:
    works = [search(number, width=16, levels=5) for number in range(3)]
    large = together(ScriptedEngine(SCRIPT), works)
    engine = ScriptedEngine(SCRIPT, context=5 * 60, max_branches=branches)
    with Scheduler(engine) as scheduler:
        jobs = [scheduler.submit(work, width=16) for work in works]
        list(scheduler.run())
        (counters,) = scheduler.counters()
    assert [job.result() for job in jobs] == large
    assert counters.reread_tokens > 100
    assert counters.cut_off == 0
    assert counters.cells == 0


def test_a_path_longer_than_the_cache_is_cut_off() -> None:
    engine = ScriptedEngine({"Q": {"x" * 500: 1}}, context=100)

    def work(view: Engine) -> list[Step]:
        with view.open(view.tokenizer.encode("Q")) as root:
            return view.extend(view.fork(root, 2), Sampling(max_tokens=400))

    with Scheduler(engine) as scheduler:
        job = scheduler.submit(work)
        list(scheduler.run())
        assert scheduler.counters()[0].cut_off == 2
    assert [(len(s.token_ids), s.finish) for s in job.result()] == [(99, "length")] * 2


def test_a_failure_is_its_own_jobs() -> None:
    def broken(_: Engine) -> None:
        raise KeyError("mine")

    def long(engine: Engine) -> None:
        with engine.open([65] * 1000):
            pass

    engine = ScriptedEngine(SCRIPT, context=500)
    with Scheduler(engine) as scheduler:
        jobs = [scheduler.submit(work) for work in (broken, search(1), long, search(2))]
        list(scheduler.run())
    with pytest.raises(KeyError, match="mine"):
        jobs[0].result()
    with pytest.raises(ContextFull, match="1000 tokens"):
        jobs[2].result()
    assert texts(jobs[1].result()) == texts(search(1)(ScriptedEngine(SCRIPT)))
    assert texts(jobs[3].result()) == texts(search(2)(ScriptedEngine(SCRIPT)))


def test_a_broken_call_fails_the_jobs_in_it_alone() -> None:
    engine = ScriptedEngine(SCRIPT)
    evaluate, broken = engine.evaluate, [True]

    def once(*arguments: Any, **options: Any) -> Any:
        if broken and len(engine.batches) == 5:
            raise RuntimeError(f"out of luck {broken.pop()}")
        return evaluate(*arguments, **options)

    engine.evaluate = once  # type: ignore[method-assign]
    with Scheduler(engine, branches=6) as scheduler:
        jobs = [scheduler.submit(search(number), width=6) for number in range(3)]
        list(scheduler.run())
        assert scheduler.counters()[0].cells == 0
    with pytest.raises(RuntimeError, match="out of luck"):
        jobs[0].result()
    assert jobs[1].result() == search(1)(ScriptedEngine(SCRIPT))


def test_a_cancelled_job_frees_its_branches() -> None:
    engine = ScriptedEngine(SCRIPT)
    with Scheduler(engine, branches=12) as scheduler:
        jobs = [scheduler.submit(search(number), width=6) for number in range(4)]
        for _ in range(5):
            scheduler.step()
        jobs[0].cancel()
        jobs[3].cancel()
        assert {job.age for job in scheduler.step()} == {jobs[0].age, jobs[3].age}
        list(scheduler.run())
        (counters,) = scheduler.counters()
    for job in (jobs[0], jobs[3]):
        with pytest.raises(Cancelled):
            job.result()
    assert counters.live == counters.cells == 0
    assert jobs[1].result() == search(1)(ScriptedEngine(SCRIPT))


def test_first_jobs_are_not_more_than_threads_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.scheduler.FIRST", 3)
    running = []
    with Scheduler(ScriptedEngine(SCRIPT), branches=4) as scheduler:
        for number in range(8):
            scheduler.submit(search(number, levels=1), first=True)
        while scheduler.waiting or scheduler.running:
            scheduler.step()
            running.append(scheduler.running)
    assert max(running) == 3


def test_a_first_job_waits_for_nobody() -> None:
    with Scheduler(ScriptedEngine(SCRIPT), branches=6) as scheduler:
        jobs = [scheduler.submit(search(number), width=6) for number in range(3)]
        scheduler.step()
        job = scheduler.submit(search(9, levels=1), width=6, first=True)
        scheduler.step()
        assert scheduler.running == 2
        ended = [one.age for one in scheduler.run()]
    assert ended.index(job.age) < ended.index(jobs[1].age)
    assert job.result() == search(9, levels=1)(ScriptedEngine(SCRIPT))


def test_closing_ends_all_jobs() -> None:
    scheduler = Scheduler(ScriptedEngine(SCRIPT), branches=6)
    jobs = [scheduler.submit(search(number), width=6) for number in range(4)]
    scheduler.step()
    scheduler.close()
    assert all(job.done for job in jobs)
    assert scheduler.counters()[0].cells == 0


def test_a_shared_prompt_is_read_once() -> None:
    engine = CellEngine(2000, 40, copies=False)
    shots = list(range(32)) * 10

    def work(number: int) -> Work:
        def ask(view: Engine) -> int:
            with view.open([*shots, number, number]) as root:
                view.feed([root], [[number]])
            return view.usage.prefill_tokens

        return ask

    with Scheduler(engine, branches=4) as scheduler:
        jobs = [scheduler.submit(work(number)) for number in range(12)]
        list(scheduler.run())
        (counters,) = scheduler.counters()
        assert counters.cells == len(shots)  # kept for the questions to come
        assert [job.result() for job in jobs] == [len(shots) + 3] + [3] * 11
        assert counters.shared_tokens == 11 * len(shots)
        scheduler.forget_prompts()
        assert scheduler.counters()[0].cells == 0
