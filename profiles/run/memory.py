"""The most memory that this process has held, in main memory and on a card."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from runtime import nvidia_cards
from runtime.devices import llama_cards

EVERY_S = 1.0  # the driver is asked at most so often
STATUS = Path("/proc/self/status")


def peak_rss_bytes() -> int:
    """The highest resident set of this process, mapped model files included.

    On Linux from VmHWM: `getrusage` there starts with the peak of the process that forked us.
    """
    if STATUS.exists():
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


class VideoMemory:
    """The most memory on cards that this process was seen to hold.

    Asks the driver after questions, at most once a second: NVIDIA's, else whichever llama.cpp runs
    GGUF files by. Where it does not list this process (in most containers), all memory in use
    beyond what was in use at the start counts.
    """

    def __init__(self, device: str, *, gguf: bool = False) -> None:
        self._gguf = gguf
        self._before = None if device == "cpu" else self._used()
        self._asked_s = float("-inf")
        self.peak_bytes: int | None = None if self._before is None else 0

    def look(self) -> int | None:
        """The peak so far, None where there is no card."""
        if self.peak_bytes is None or time.monotonic() - self._asked_s < EVERY_S:
            return self.peak_bytes
        self._asked_s = time.monotonic()
        held = nvidia_cards.own_bytes()
        if held is None:
            held = max(0, (self._used() or 0) - (self._before or 0))
        self.peak_bytes = max(self.peak_bytes, held)
        return self.peak_bytes

    def _used(self) -> int | None:
        """Memory in use on all cards; None without one, or where its driver does not tell."""
        used = nvidia_cards.used_bytes()
        if used is not None or not self._gguf:
            return used
        return sum(card.total_bytes - card.free_bytes for card in llama_cards()) or None
