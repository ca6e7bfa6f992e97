"""Chat templates: programs that came with a model, run in a child with limits.

Whatever a template does, the text it makes is all that reaches this process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from convert.child import command, environment
from convert.deaths import died
from convert.refusal import Refusal

OWN_PROMPT = (
    "give a prompt of your own in protocol.json beside the checkpoint, as in "
    '{"prompt": {"template": "Q: {question} A:"}}, and convert again'
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one rendering may take. Waiting, for a busy machine say, counts against `wall_s` only.

    Platforms without a processor clock or a limit of memory have the others.
    """

    cpu_s: float = 2.0
    wall_s: float = 8.0
    start_s: float = 60.0
    memory_bytes: int = 512 << 20  # of the whole child
    characters: int = 1_000_000


def render(model: str, template: str, variables: dict[str, Any]) -> str:
    """The text of a model's chat template.

    Raises:
        Refusal: if the template refuses, fails or passes the limits; names the model.
    """
    return _renderer(os.getpid()).render(model, template, variables)


@cache
def _renderer(_process: int) -> Renderer:
    """The one of this process: a fork may not share its parent's child."""
    return Renderer(Limits())


class Renderer:
    """A child that renders, started at the first template and whenever it was lost."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._end: Callable[[], object] = object  # nothing to end yet

    def render(self, model: str, template: str, variables: dict[str, Any]) -> str:
        """As the function `render`; callers on other threads wait for each other."""
        if any("\ud800" <= c <= "\udfff" for c in template):
            raise _refusal(model, "is not UTF-8")
        request = json.dumps({"template": template, "variables": variables})
        with self._lock:
            try:
                reply = self._ask(request)
            except BaseException:  # Ctrl-C too: the answer to come would belong to this request
                self._end()
                raise
        ((kind, said),) = reply.items()
        if kind != "text":
            raise _refusal(model, f"{kind}: {said}")
        return said

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ask(self, request: str) -> dict[str, str]:
        """The child's answer, `text` or what the template does instead: one key and one value."""
        child = self._child
        if child is None or child.poll() is not None:
            child = self._start()
        assert child.stdin is not None
        with suppress(OSError):  # a child that is gone answers nothing
            child.stdin.write(request + "\n")
            child.stdin.flush()
        line, late = _line(child, self._limits.wall_s)
        if line:
            return dict(json.loads(line))
        code = child.wait()
        if late or code == -getattr(signal, "SIGPROF", 0):
            return {"does not end": f"stopped after {self._limits.cpu_s:g} s of work"}
        how = died(code, "rendering it") if code < 0 else f"ended with code {code}"
        return {"cannot be rendered": f"the process for it {how}"}

    def _start(self) -> subprocess.Popen[str]:
        """A child in a session of its own, so that Ctrl-C does not reach it; it ends with us."""
        self._end()
        numbers = (self._limits.cpu_s, self._limits.memory_bytes, self._limits.characters)
        self._child = subprocess.Popen(
            command("runtime.template_child", *map(str, numbers)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            env=environment(),
        )
        self._end = weakref.finalize(self, _end, self._child, os.getpid())
        _line(self._child, self._limits.start_s)  # that it is ready; else it answers nothing
        return self._child


def _refusal(model: str, what: str) -> Refusal:
    return Refusal(f"{model}: its chat template {what}; {OWN_PROMPT}")


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
