"""Jobs: ordinary sequential code, each in a thread of its own, of which one runs at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from runtime.lane import Lane
from runtime.requests import Extend, Feed


class Cancelled(Exception):
    """A job was asked to stop; it is raised where the job waits for its engine."""


class Job:
    """Code that a scheduler runs from one request to its engines to the next.

    `result()` is what the code returned, or raises what it raised; `Cancelled` after a `cancel`.
    """

    def __init__(self, work: Callable[[Job], Any], width: int, age: int) -> None:
        self.width, self.age = width, age
        self.first = False  # it is admitted at once
        self.lane: Lane | None = None  # whose engine it waits for
        self.request: Feed | Extend | None = None
        self.future: Future[Any] = Future()
        self._work, self._cancelled = work, False
        self._go, self._parked = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._parked.acquire()
        self._thread: threading.Thread | None = None
        self._running = False

    @property
    def done(self) -> bool:
        return self.future.done()

    def result(self, timeout: float | None = None) -> Any:
        return self.future.result(timeout)

    def cancel(self) -> None:
        """Stop at the next round, free all branches; from any thread, at any time."""
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def advance(self) -> None:
        """Let the code run until it waits for an engine or ends; the scheduler's side."""
        if self._thread is None:
            if self._cancelled:
                self.future.set_exception(Cancelled())
                return
            self._thread = threading.Thread(target=self._run, name=f"job {self.age}", daemon=True)
            self._thread.start()
        else:
            self._go.release()
        self._running = True
        self._catch()

    def stop(self) -> None:
        """Cancel, and let the code run to its end."""
        self.cancel()
        if self._running:  # the scheduler was interrupted while the code ran
            self._catch()
        while not self.done:
            self.advance()

    def _catch(self) -> None:
        self._parked.acquire()
        self._running = False
        if self.done and self._thread is not None:
            self._thread.join()

    def wait(self, lane: Lane, request: Feed | Extend) -> None:
        """Wait for an answer; the code's side.

        Raises:
            Cancelled: if the job was cancelled meanwhile.
        """
        self.lane, self.request = lane, request
        self._parked.release()
        self._go.acquire()
        self.lane = self.request = None
        if self._cancelled:
            raise Cancelled
        if request.error is not None:
            raise request.error

    def _run(self) -> None:
        try:
            result = self._work(self)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
        self._parked.release()
