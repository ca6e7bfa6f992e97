"""Many questions at once: jobs whose calls meet in rounds, one call an engine a round.

    scheduler = Scheduler(policy, reward, branches=32)
    scheduler.submit(lambda policy, reward: method(policy, reward).solve(problem, seed), width=8)
    for job in scheduler.run():  # until none is left, each as it ends
        print(job.result())

A job is ordinary code over an `Engine` for each of the scheduler's engines, and unaware of the
others. It runs until it needs an engine; when all jobs wait, a round merges what they wait for: the
next token of every branch that is extended, tokens that are fed, and parts of new prompts, the
oldest job first. Which rows share a call thus depends on the jobs and their order alone, never on
time: the same jobs give the same calls. Random numbers depend on seed, branch and position alone.

A server calls `step` in one thread, and `wait` while nothing is to be done; `submit`, `Job.cancel`
and `counters` may be called from any thread. A cancelled job ends before the next round and frees
its branches. `close` ends all jobs; the engines stay open.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from runtime.branching import BranchEngine
from runtime.engine import Engine
from runtime.jobs import Job
from runtime.lane import Counters, Lane
from runtime.requests import Extend
from runtime.shared_engine import SharedEngine
from runtime.thinking_engine import ThinkingEngine

BRANCHES = 32  # in a call, where nobody says how many
FIRST = 512  # jobs at once that are admitted whatever else runs: each has a thread


class Scheduler:
    """Runs jobs over engines that they share.

    `branches` is how many branches are wanted in a call: waiting jobs are admitted, in their order,
    while those that grow are fewer and no branch waits for room in the KV cache. None: so many
    that every engine's fastest kernels take them.
    """

    def __init__(self, *engines: Engine, branches: int | None = None) -> None:
        inner = [_inner(engine) for engine in engines]
        fast = [engine.fast_rows for engine in inner if engine.fast_rows is not None]
        self._engines, self.branches = engines, branches or min([BRANCHES, *fast])
        self._lanes = [Lane(engine) for engine in inner]
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._news = threading.Condition()
        self._submitted = 0

    @property
    def waiting(self) -> int:
        """Jobs that are not yet admitted."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Jobs that are admitted and have not ended."""
        return len(self._running)

    def counters(self) -> list[Counters]:
        """What every engine does and did."""
        return [lane.counters() for lane in self._lanes]

    def submit(self, work: Callable[..., Any], *, width: int = 1, first: bool = False) -> Job:
        """A job that calls `work` with an engine for each of the scheduler's.

        `width` is how many branches it will mostly extend at once. A job that is `first` waits for
        no other kind: it is admitted in the next round, while fewer than `FIRST` of them run.
        """
        with self._news:
            self._submitted += 1
            job = Job(lambda job: work(*self._views(job)), width, self._submitted)
            job.first = first
            before = sum(one.first for one in self._waiting)
            self._waiting.insert(before if first else len(self._waiting), job)
            self._news.notify_all()
        return job

    def wait(self, timeout_s: float) -> None:
        """Return when there is something to do, or after a time."""
        with self._news:
            if not self._running and not self._waiting:
                self._news.wait(timeout_s)

    def run(self) -> Iterator[Job]:
        """All jobs until none is left, each as it ends."""
        while self._running or self._waiting:
            yield from self.step()

    def step(self) -> list[Job]:
        """One round; the jobs that ended in it."""
        ended = self._drop_cancelled()
        self._admit()
        for lane in self._lanes:
            jobs = [job for job in self._running if job.lane is lane]
            if jobs:
                _round(lane, jobs)
        ended += [job for job in self._running if job.done]
        self._running = [job for job in self._running if not job.done]
        return ended

    def forget_prompts(self) -> None:
        """Let what comes depend on nothing that was read so far."""
        for lane in self._lanes:
            lane.forget_prompts()

    def close(self) -> None:
        for job in [*self._running, *self._waiting]:
            job.stop()
        self._running.clear()
        self._waiting.clear()
        self.forget_prompts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _drop_cancelled(self) -> list[Job]:
        with self._news:
            gone = [job for job in [*self._running, *self._waiting] if job.cancelled]
            self._waiting = deque(job for job in self._waiting if job not in gone)
        for job in gone:
            job.stop()
        self._running = [job for job in self._running if job not in gone]
        return gone

    def _admit(self) -> None:
        while self._waiting and self._has_room(self._waiting[0]):
            with self._news:
                job = self._waiting.popleft()
                self._running.append(job)
            job.advance()

    def _has_room(self, job: Job) -> bool:
        if job.first:
            return sum(one.first for one in self._running) < FIRST
        if any(lane.waiting for lane in self._lanes):
            return False
        growing = sum(_branches(job) for job in self._running)
        return not self._running or growing + job.width <= self.branches

    def _views(self, job: Job) -> list[Engine]:
        views = [SharedEngine(lane, job) for lane in self._lanes]
        return [
            engine.over(view) if isinstance(engine, ThinkingEngine) else view
            for engine, view in zip(self._engines, views, strict=True)
        ]


def _round(lane: Lane, jobs: Sequence[Job]) -> None:
    """One call for all jobs that wait for an engine; those that have what they wait for go on."""
    requests = [job.request for job in jobs if job.request is not None]
    try:
        lane.round(requests)
    except Exception as error:
        for request in requests:
            request.error = error
    for job, request in zip(jobs, requests, strict=True):
        if request.done or request.error is not None:
            job.advance()


def _branches(job: Job) -> int:
    """How many branches a job extends now; as many as it will, while it does something else."""
    return job.request.waiting if isinstance(job.request, Extend) else job.width


def _inner(engine: Engine) -> BranchEngine:
    inner = engine.inner if isinstance(engine, ThinkingEngine) else engine
    if not isinstance(inner, BranchEngine):
        raise TypeError(f"{type(inner).__name__} is no engine of this package")
    return inner
