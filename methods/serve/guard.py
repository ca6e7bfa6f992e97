"""Who may ask what: keys, hosts, origins, the size of a body."""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from methods.serve.errors import ApiError, answer

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
PUBLIC = ("/health", "/v1/health", "/")  # without a key


@dataclass(frozen=True, slots=True)
class Guard:
    """The door of a server.

    Bound to this machine alone it answers to names of this machine alone, so that a page from
    elsewhere cannot reach it under a name that it owns (DNS rebinding).
    """

    app: ASGIApp
    keys: tuple[bytes, ...]
    hosts: tuple[str, ...]  # empty: any
    body_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if len(path) > 1 and path.endswith("/"):  # a redirect would lose a client's body
            path = path.rstrip("/") or "/"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        try:
            self._check(scope, Headers(scope=scope))
        except ApiError as error:
            await answer(error)(scope, receive, send)
            return
        await self._limited(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if self.hosts and name.lower() not in self.hosts:
            raise ApiError(403, f"host {name!r} is not served; choose {self.hosts[0]}")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.body_bytes:
            raise self._too_large()
        if self.keys and scope["path"] not in PUBLIC and scope["method"] != "OPTIONS":
            scheme, _, token = headers.get("authorization", "").partition(" ")
            given = token if scheme.lower() == "bearer" else headers.get("x-api-key", "")
            if not any(hmac.compare_digest(given.strip().encode(), key) for key in self.keys):
                raise ApiError(
                    401,
                    "missing or wrong API key; send it as 'Authorization: Bearer KEY'",
                    code="invalid_api_key",
                )

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app, with a body that may be no longer than allowed, however it is sent."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= self.body_bytes else {"type": "http.disconnect"}

        async def checked(message: Message) -> None:
            if seen <= self.body_bytes:
                if message["type"] == "http.response.start":
                    message["headers"].append((b"x-request-id", uuid.uuid4().hex.encode()))
                await send(message)
            elif message["type"] == "http.response.start":  # whatever the app makes of half a body
                await answer(self._too_large())(scope, receive, send)

        await self.app(scope, counted, checked)

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the body is larger than {self.body_bytes} bytes")


def hosts_for(bound: str, more: Sequence[str]) -> tuple[str, ...]:
    """The names a server answers to: any, unless it is bound to this machine alone."""
    return (*LOOPBACK, *more) if bound in LOOPBACK else tuple(more)
