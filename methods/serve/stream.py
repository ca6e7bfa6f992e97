"""Server-sent events: chunks as they come, comments while nothing does, one end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from methods.serve.errors import NO_RETRY

PING = ": ping\n\n"  # a comment: clients skip it, proxies see life
DONE = "data: [DONE]\n\n"
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no", **NO_RETRY}


class EventStream(StreamingResponse):
    """Chunks as they come; whoever leaves, be it before the first, cancels what makes them."""

    def __init__(self, chunks: AsyncIterator[str], cancel: Callable[[], None]) -> None:
        super().__init__(chunks, media_type="text/event-stream", headers=HEADERS)
        self._cancel = cancel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._cancel()


def event(data: Mapping[str, Any]) -> str:
    """One chunk on the wire."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def with_pings(chunks: AsyncIterator[str], every_s: float) -> AsyncIterator[str]:
    """The chunks, and a comment whenever none came for so long."""
    pending = asyncio.ensure_future(anext(chunks))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=every_s)
            if not done:
                yield PING
                continue
            try:
                chunk = pending.result()
            except StopAsyncIteration:
                return
            pending = asyncio.ensure_future(anext(chunks))
            yield chunk
    finally:
        pending.cancel()
