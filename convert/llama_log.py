"""llama.cpp's log: kept for error messages, never printed."""

from __future__ import annotations

from collections import deque
from typing import Any

import llama_cpp.llama_cpp as llama

ERROR = 4
RECENT: deque[tuple[int, str]] = deque(maxlen=400)  # the library has one log for the process


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _keep(level: int, text: bytes, _user_data: Any) -> None:
    RECENT.append((level, text.decode("utf-8", "replace").rstrip()))


def capture() -> None:
    """Send llama.cpp's log here instead of to stderr."""
    llama.llama_log_set(_keep, None)


def last_error() -> str:
    """The newest error line without its function name, or an empty string."""
    errors = [text for level, text in RECENT if level == ERROR]
    return errors[-1].split(": ", 1)[-1] if errors else ""
