"""uvicorn with an end in order: signals let requests finish for a while, then end them."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from convert.refusal import Refusal
from methods.serve.opening import Opening

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Server(uvicorn.Server):
    """Serves an application until a signal; requests under way then have `grace_s` to finish."""

    def __init__(self, opening: Opening, grace_s: float, *, access_log: bool) -> None:
        super().__init__(
            uvicorn.Config(
                opening,
                lifespan="off",
                log_level="info" if access_log else "warning",
                access_log=access_log,
                server_header=False,
                timeout_graceful_shutdown=int(grace_s) + 5,
            )
        )
        self._opening, self._grace_s = opening, grace_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening; what is not done in time ends with an error that says so."""
        timer = asyncio.get_running_loop().call_later(self._grace_s, self._opening.end)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """All signals that end a command end the server in order; then they have their effect."""
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        for number in self._captured_signals[:1]:
            signal.raise_signal(number)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        Refusal: if the address is taken, or not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Refusal(
            f"cannot listen on {host}:{port}: {why.lower()}; choose another --port"
        ) from error
