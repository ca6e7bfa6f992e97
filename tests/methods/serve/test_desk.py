"""The desk keeps no request that has ended, and none that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("fastapi")

from methods.opened import Models
from methods.serve.desk import Desk, DeskOptions
from methods.serve.errors import ApiError
from methods.serve.plain import Wanted
from methods.serve.stream import EventStream
from methods.serve.work import Plain
from runtime.engine import Sampling
from runtime.jobs import Job
from runtime.scripted_engine import ScriptedEngine

WORK = Plain(Wanted((65,), Sampling(max_tokens=4)))


def test_what_ends_before_it_is_noted_is_not_kept() -> None:
    """The worker may be done with a request before the event loop goes on."""

    async def ask() -> None:
        desk = Desk(Models(ScriptedEngine({"A": {"BC": 1}})), DeskOptions())
        submit = desk._scheduler.submit

        def slow(*given: Any, **named: Any) -> Job:
            job = submit(*given, **named)
            job.future.exception(timeout=20)
            return job

        desk._scheduler.submit = slow  # type: ignore[method-assign]
        done = await desk.submit(WORK).result()
        desk.stop()
        assert done.completions[0].text == "BC"
        assert not desk._open

    asyncio.run(ask())


def test_a_plain_completion_is_counted() -> None:
    async def ask() -> str:
        desk = Desk(Models(ScriptedEngine({"A": {"BC": 1}})), DeskOptions())
        await desk.submit(WORK).result()
        desk.stop()
        return desk.metrics.text().decode()

    told = asyncio.run(ask())
    for line in (
        "prompt_tokens_total 1.0",
        "tokens_predicted_total 2.0",
        "e2e_request_latency_seconds_count 1.0",
    ):
        assert f"\nstarbase_edge_{line}\n" in told


@pytest.mark.parametrize("stops", [False, True])
def test_who_leaves_the_queue_is_counted_and_who_is_sent_away_is_not(stops: bool) -> None:
    async def ask() -> str:
        desk = Desk(Models(ScriptedEngine({"A": {"BC": 1}})), DeskOptions())
        desk._scheduler.step = list  # type: ignore[method-assign]  # nobody is let in
        ticket = desk.submit(WORK)
        if stops:
            desk.stop()
            with pytest.raises(ApiError, match="stopped"):
                await ticket.result()
        else:
            ticket.cancel()
            desk.stop()
        return desk.metrics.text().decode()

    told = asyncio.run(ask())
    assert f"\nstarbase_edge_requests_cancelled_total {0.0 if stops else 1.0}\n" in told


def test_who_leaves_before_the_first_chunk_cancels_too() -> None:
    left = []

    async def never() -> Any:
        await asyncio.Event().wait()
        yield ""

    async def disconnected() -> Mapping[str, Any]:
        return {"type": "http.disconnect"}

    async def nowhere(_: Any) -> None:
        await asyncio.Event().wait()

    async def answer() -> None:
        response = EventStream(never(), lambda: left.append("cancelled"))
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        await response(scope, disconnected, nowhere)

    asyncio.run(asyncio.wait_for(answer(), 20))
    assert left == ["cancelled"]
