"""A child that answers lines of JSON, for work that may not end: it is killed and started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from convert.child import command, environment


@dataclass(frozen=True, slots=True)
class Reply:
    """What a child answered; an empty line: it is gone, with a code, or killed for being late."""

    line: str
    late: bool = False
    code: int = 0

    @property
    def endless(self) -> bool:
        """Whether the work passed its limit, of the clock or of the processor."""
        return self.late or self.code == -getattr(signal, "SIGPROF", 0)


class Asked:
    """A module of ours run in a child, started at the first request and whenever it was lost.

    It prints a line when it is ready, then one for each that it reads; its own limits are its
    arguments. Threads wait for each other.
    """

    def __init__(self, module: str, arguments: tuple[str, ...], wall_s: float, start_s: float):
        self._module, self._arguments = module, arguments
        self._wall_s, self._start_s = wall_s, start_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._end: Callable[[], object] = object  # nothing to end yet

    def ask(self, request: str) -> Reply:
        """The answer to one line."""
        with self._lock:
            try:
                return self._ask(request)
            except BaseException:  # Ctrl-C too: the answer to come would belong to this request
                self._end()
                raise

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ask(self, request: str) -> Reply:
        child = self._child
        if child is None or child.poll() is not None:
            child = self._start()
        assert child.stdin is not None
        with suppress(OSError):  # a child that is gone answers nothing
            child.stdin.write(request + "\n")
            child.stdin.flush()
        line, late = _line(child, self._wall_s)
        return Reply(line) if line else Reply("", late, child.wait())

    def _start(self) -> subprocess.Popen[str]:
        """A child in a session of its own, so that Ctrl-C does not reach it; it ends with us."""
        self._end()
        self._child = subprocess.Popen(
            command(self._module, *self._arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            env=environment(),
        )
        self._end = weakref.finalize(self, _end, self._child, os.getpid())
        _line(self._child, self._start_s)  # that it is ready; else it answers nothing
        return self._child


def _line(child: subprocess.Popen[str], patience_s: float) -> tuple[str, bool]:
    """The next line of a child, empty if it ends before; and whether it was killed for that."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        child.kill()

    assert child.stdout is not None
    clock = threading.Timer(patience_s, stop)
    clock.start()
    try:
        line = child.stdout.readline()
    finally:
        clock.cancel()
        clock.join()
    return ("" if late.is_set() or not line.endswith("\n") else line), late.is_set()


def _end(child: subprocess.Popen[str], owner: int) -> None:
    if os.getpid() != owner:  # the copy of a fork
        return
    for pipe in (child.stdin, child.stdout):
        assert pipe is not None
        with suppress(OSError):
            pipe.close()
    child.kill()
    child.wait()
