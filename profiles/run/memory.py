"""The most memory that this process has held, in main memory and on a card."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

QUERY_S = 10.0  # what a query of the driver may take
EVERY_S = 1.0  # and how often it is asked at most

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
    """The most memory on NVIDIA cards that this process was seen to hold.

    Asks `nvidia-smi` after questions, at most once a second. Where the driver does not list this
    process (in most containers), all memory in use beyond what was in use at the start counts.
    """

    def __init__(self, device: str) -> None:
        self._tool = None if device == "cpu" else shutil.which("nvidia-smi")
        self._before = self._in_use() if self._tool else 0
        self._asked_s = 0.0
        self.peak_bytes: int | None = None if self._tool is None or self._before is None else 0

    def look(self) -> int | None:
        """The peak so far, None where there is no card."""
        if self.peak_bytes is None or time.monotonic() - self._asked_s < EVERY_S:
            return self.peak_bytes
        self._asked_s = time.monotonic()
        held = self._own()
        if held is None:
            held = max(0, (self._in_use() or 0) - (self._before or 0))
        self.peak_bytes = max(self.peak_bytes, held)
        return self.peak_bytes

    def _own(self) -> int | None:
        rows = self._ask("--query-compute-apps=pid,used_memory")
        mine = [row.split(",")[1] for row in rows if row.split(",")[0].strip() == str(os.getpid())]
        found = [int(text) for text in mine if text.strip().isdigit()]
        return sum(found) << 20 if found else None

    def _in_use(self) -> int | None:
        found = [int(row) for row in self._ask("--query-gpu=memory.used") if row.strip().isdigit()]
        return sum(found) << 20 if found else None

    def _ask(self, query: str) -> list[str]:
        if self._tool is None:
            return []
        try:
            answer = subprocess.run(
                [self._tool, query, "--format=csv,noheader,nounits"],
                capture_output=True,
                text=True,
                timeout=QUERY_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return []
        return [row for row in answer.stdout.splitlines() if row.strip()]
