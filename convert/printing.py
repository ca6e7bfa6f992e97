"""What is shown to people and programs: UTF-8, and nothing that a terminal would obey."""

from __future__ import annotations

import re
import sys
from typing import TextIO

# C0 but tab and line end, DEL, C1, marks that reorder text, halves of surrogate pairs
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    r"""Text whose control characters are spelled out: ESC as `\u001b`, as JSON spells it too."""
    return OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str, file: TextIO | None = None, *, end: str = "\n") -> None:
    """Print text, or one JSON document, to stdout or another stream."""
    print(plain(text), file=file or sys.stdout, end=end, flush=True)


def speak_utf8() -> None:
    """Let standard streams carry UTF-8, whatever the locale says."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(encoding="utf-8", errors="backslashreplace")
