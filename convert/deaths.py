"""What it means when a process dies of a signal, and what to try next."""

from __future__ import annotations

import signal

DOCTOR = "profile doctor tells what works on this machine"
REMEDIES = {
    "SIGKILL": "most likely memory ran out: choose a lower level, --context or width",
    "SIGILL": "llama.cpp was built for another processor: build it here: make rebuild",
}


def died(code: int, doing: str) -> str:
    """One line about a process that a signal ended: which, doing what, and what to try next.

    `code` is a negative return code of `subprocess`, as in `-11`.
    """
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"ended by {name} while {doing}; {REMEDIES.get(name, DOCTOR)}"
