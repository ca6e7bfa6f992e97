"""A command runs in a process of its own, so that a death in native code is told, not suffered."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import threading
from typing import Any

from convert.deaths import died
from convert.printing import say

FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP")
_DOING = mmap.mmap(-1, 1024)  # shared with the process that was forked from this one


def doing(what: str) -> None:
    """Note what this process is about to do: `opening policy-q4_k_m.gguf`."""
    line = what.encode("utf-8", "replace")[: len(_DOING) - 1]
    _DOING[: len(line) + 1] = line + b"\0"


def fork() -> int:
    """0 in the process that does the work, its id in the one that watches; 0 where none can be."""
    if not hasattr(os, "fork") or threading.active_count() > 1:
        return 0
    reader, writer = os.pipe()
    if pid := os.fork():
        os.close(reader)  # `writer` stays open for as long as we live
        return pid
    os.close(writer)
    threading.Thread(target=_follow_parent, args=(reader,), daemon=True).start()
    return 0


def _follow_parent(reader: int) -> None:
    """Die when the watching process is gone: nobody would clean up behind this one twice."""
    os.read(reader, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def watch(pid: int, name: str) -> int:
    """Wait for the working process, hand it the signals sent to us; returns the exit code.

    A second signal kills it: native code may not come back to look at the first.
    """
    seen: list[int] = []

    def forward(number: int, _frame: Any) -> None:
        os.kill(pid, signal.SIGKILL if seen else number)
        seen.append(number)

    for signal_name in FORWARDED:
        number = getattr(signal, signal_name)
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, forward)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    if seen:
        return 128 + seen[0]
    text = bytes(_DOING).split(b"\0", 1)[0].decode("utf-8", "replace")
    say(f"{name}: error: {died(code, text or 'starting')}", sys.stderr)
    return 1
