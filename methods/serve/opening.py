"""The application while models are opened: it says so, and hands over when they are there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from methods.serve.errors import ApiError, answer


class Opening:
    """An application that comes later; `open` runs on a thread of its own."""

    def __init__(self, open_: Callable[[], tuple[ASGIApp, Callable[[], None]]]) -> None:
        self._open = open_
        self._app: ASGIApp | None = None
        self._end: Callable[[], None] = lambda: None
        self.error: BaseException | None = None

    def start(self, opened: Callable[[], None], failed: Callable[[], None]) -> None:
        """Open, and call `opened` then; or `failed` if that fails, and `error` says why."""

        def work() -> None:
            try:
                self._app, self._end = self._open()
                opened()
            except BaseException as error:
                self.error = error
                failed()

        threading.Thread(target=work, name="opening", daemon=True).start()

    def end(self) -> None:
        """End what is under way."""
        self._end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            response: Any = answer(ApiError(503, "Loading model", code=503))
            if scope["path"] == "/":
                response = PlainTextResponse("The model is being loaded.", 503, {"refresh": "2"})
            await response(scope, receive, send)
