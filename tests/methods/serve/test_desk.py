"""The desk keeps no request that has ended, and none that nobody waits for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("fastapi")

from methods.serve.desk import Desk, DeskOptions
from methods.serve.plain import Wanted
from methods.serve.work import Plain
from runtime.engine import Sampling
from runtime.jobs import Job
from runtime.scripted_engine import ScriptedEngine

WORK = Plain(Wanted((65,), Sampling(max_tokens=4)))


def test_what_ends_before_it_is_noted_is_not_kept() -> None:
    """The worker may be done with a request before the event loop goes on."""

    async def ask() -> None:
        desk = Desk(ScriptedEngine({"A": {"BC": 1}}), None, DeskOptions())
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
