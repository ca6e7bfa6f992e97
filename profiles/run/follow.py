"""What a worker reports, and what to say of it when it dies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from convert.deaths import died

EVENTS: dict[str, dict[str, type]] = {
    "loaded": {"device": str},
    "asking": {"id": str},
    "question": {"id": str, "correct": bool},
    "failed": {"reason": str},
}


@dataclass(slots=True)
class Course:
    """How far a worker has come."""

    models: str
    total: int
    answered: int  # in earlier runs too
    doing: str = ""
    reason: str | None = None  # why it failed, as it says itself

    def __post_init__(self) -> None:
        self.doing = f"loading {self.models}"

    def event(self, event: dict[str, Any]) -> None:
        """What it reports."""
        if event["event"] == "loaded":
            self.doing = f"answering the warm-up question with {self.models}"
        elif event["event"] == "asking":
            place = f"{self.answered + 1} of {self.total} (id {event['id']})"
            self.doing = f"answering question {place} with {self.models}"
        elif event["event"] == "question":
            self.answered += 1
            self.doing = f"going on after question {event['id']} with {self.models}"
        else:
            self.reason = event["reason"]

    def ended(self, code: int, log: Path) -> str:
        """Why it failed, in one line."""
        if self.reason is not None:
            return self.reason
        words = last_words(log)
        what = died(code, self.doing) if code < 0 else f"exit code {code} while {self.doing}"
        return f"{what}; its log {log.parent.name}/{log.name} ends with: {words}" if words else what


def follow(
    child: subprocess.Popen[str],
    course: Course,
    event: Callable[[dict[str, Any]], None],
    log: IO[str],
) -> None:
    """Hand on what a worker reports until it ends; lines that are not its own go to the log."""
    assert child.stdout is not None
    for line in child.stdout:
        found = read_event(line)
        if found is None:
            log.write(line)
            log.flush()
        else:
            course.event(found)
            event(found)
    child.stdout.close()
    child.wait()


def read_event(line: str) -> dict[str, Any] | None:
    """The event in a line; None for what a library printed there."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("event"), str):
        return None
    wanted = EVENTS.get(found["event"])
    if wanted is None or not all(isinstance(found.get(n), t) for n, t in wanted.items()):
        return None
    return found


def last_words(log: Path) -> str:
    """The last line that a worker wrote before it died."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
