"""A request on its way: asked on the event loop, answered by a worker's thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
END = object()


class Ticket(Generic[T]):
    """What a job tells on its way, and its result; made on the event loop.

    The worker calls `tell`, `done` and `fail`; `on_end` is told, on the event loop, when it has
    ended or nobody waits any more.
    """

    def __init__(self, on_end: Callable[[Ticket[T]], None]) -> None:
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[Any] = asyncio.Queue()
        self._result: asyncio.Future[T] = self._loop.create_future()
        self.asked_s = time.perf_counter()

    @property
    def answered(self) -> bool:
        """Whether there is a result, or an error."""
        return self._result.done()

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._on_end(self)

    async def events(self) -> AsyncIterator[Any]:
        """What is told until the job ends."""
        while (event := await self._told.get()) is not END:
            yield event

    async def result(self) -> T:
        """The result; raises what the job raised."""
        return await asyncio.shield(self._result)

    def tell(self, event: Any) -> None:
        self._hand(self._told.put_nowait, event)

    def done(self, result: T) -> None:
        self._hand(self._finish, result, None)

    def fail(self, error: BaseException) -> None:
        self._hand(self._finish, None, error)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        self._told.put_nowait(END)
        if self._result.done():
            return
        if error is None:
            self._result.set_result(result)
        else:
            self._result.set_exception(error)
            self._result.exception()  # seen: whoever has left does not ask for it
        self._on_end(self)

    def _hand(self, function: Any, *arguments: Any) -> None:
        if not self._loop.is_closed():  # a server that stops has nobody left to tell
            self._loop.call_soon_threadsafe(function, *arguments)
