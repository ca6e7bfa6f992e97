"""Limits that a child sets itself."""

from __future__ import annotations

import signal
from contextlib import suppress


def limit_memory(size_bytes: int) -> None:
    """Let allocations beyond a size fail, where the platform can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def limit_time(cpu_s: float) -> None:
    """End this process after some seconds of work, where the platform can; 0 takes it back.

    By the signal's own action: a handler in Python would wait for the end of `9 ** 9 ** 9`.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
