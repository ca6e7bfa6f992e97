"""What was asked, on its way to an answer: in one piece, or chunk by chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from methods.serve.errors import failed
from methods.serve.stream import DONE, event
from methods.serve.tickets import Ticket

T = TypeVar("T")
Chunk = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange(Generic[T]):
    """A ticket, and how its events and its result are written."""

    ticket: Ticket[T]
    write: Callable[[T], Chunk]  # the whole answer
    begin: Callable[[], list[Chunk]] = list  # of a stream
    tell: Callable[[Any], list[Chunk]] = lambda _: []  # an event
    end: Callable[[T], list[Chunk]] = lambda _: []  # what a stream ends with

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.ticket.cancel()

    async def whole(self) -> Chunk:
        """The answer in one piece."""
        return self.write(await self.ticket.result())

    async def parts(self) -> AsyncIterator[Chunk]:
        """The answer chunk by chunk; an error after the first of them is one too."""
        for chunk in self.begin():
            yield chunk
        try:
            async for told in self.ticket.events():
                for chunk in self.tell(told):
                    yield chunk
            for chunk in self.end(await self.ticket.result()):
                yield chunk
        except Exception as error:  # a stream that has begun cannot change its status
            yield failed(error).body

    async def chunks(self) -> AsyncIterator[str]:
        """The answer as events on the wire."""
        async for chunk in self.parts():
            yield event(chunk)
        yield DONE


@dataclass(frozen=True, slots=True)
class Together:
    """Several prompts of one request: one answer with all their choices, in order."""

    exchanges: Sequence[Exchange[Any]]

    def cancel(self) -> None:
        """Nobody waits for any of them any more."""
        for one in self.exchanges:
            one.cancel()

    async def whole(self) -> Chunk:
        """The choices of all, and the sums of what they took."""
        answers = [await one.whole() for one in self.exchanges]
        choices = [choice for answer in answers for choice in answer["choices"]]
        return {**_sums(answers), "choices": choices}

    async def chunks(self) -> AsyncIterator[str]:
        """The chunks of all as they come, and of those that tell usage their sum."""
        queue: asyncio.Queue[Chunk | None] = asyncio.Queue()

        async def forward(one: Exchange[Any]) -> None:
            async for chunk in one.parts():
                await queue.put(chunk)
            await queue.put(None)

        tasks = [asyncio.ensure_future(forward(one)) for one in self.exchanges]
        last: list[Chunk] = []
        try:
            running = len(tasks)
            while running:
                chunk = await queue.get()
                if chunk is None:
                    running -= 1
                elif chunk.get("choices") == []:
                    last.append(chunk)
                else:
                    yield event(chunk)
            if last:
                yield event(_sums(last))
            yield DONE
        finally:
            for task in tasks:
                task.cancel()


def _sums(answers: Sequence[Chunk]) -> dict[str, Any]:
    """The first of some answers with what all took."""
    sums = {name: _sum([answer[name] for answer in answers]) for name in ("usage", "timings")}
    return {**answers[0], **sums}


def _sum(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers added up, name by name; speeds would mean nothing."""
    return {
        name: _sum([table[name] for table in tables])
        if isinstance(value, Mapping)
        else sum(table[name] for table in tables)
        for name, value in tables[0].items()
        if not name.endswith(("_per_second", "_per_token_ms"))
    }
