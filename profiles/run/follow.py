"""What a worker reports, and what to say of it when it dies."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from convert.deaths import died
from profiles.run.events import Answered, Asking, Event, GaveUp, Loaded, read_event


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

    def event(self, event: Event) -> None:
        """What it reports."""
        match event:
            case Loaded():
                self.doing = f"answering the warm-up question with {self.models}"
            case Asking(question):
                place = f"{self.answered + 1} of {self.total} (id {question})"
                self.doing = f"answering question {place} with {self.models}"
            case Answered(question):
                self.answered += 1
                self.doing = f"going on after question {question} with {self.models}"
            case GaveUp(reason):
                self.reason = reason

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
    event: Callable[[Event], None],
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


def last_words(log: Path) -> str:
    """The last line that a worker wrote before it died."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
