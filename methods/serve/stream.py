"""Server-sent events: chunks as they come, comments while nothing does, one end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

PING = ": ping\n\n"  # a comment: clients skip it, proxies see life
DONE = "data: [DONE]\n\n"


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
