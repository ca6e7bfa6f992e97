"""Progress of a run on stderr: a bar, or a line a minute, and a line a configuration."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from tqdm import tqdm

from convert.printing import plain, say
from convert.progress import Lines
from profiles.run.events import Answered, Event, Loaded


class RunProgress:
    """Questions done, accuracy so far and time left, for one configuration at a time."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None
        self._title, self._total, self._done, self._correct = "", 0, 0, 0
        self._started_s = 0.0
        self._lines = Lines()

    def start(self, title: str, total: int, done: int, correct: int) -> None:
        """A configuration begins, some of it perhaps done in an earlier run."""
        self._title, self._total, self._done, self._correct = title, total, done, correct
        self._started_s, self._lines = time.monotonic(), Lines()
        if self._stream.isatty():
            self._bar = tqdm(
                total=total,
                initial=done,
                desc=plain(title),
                unit="q",
                file=self._stream,
                leave=False,
            )
            self._bar.set_postfix_str(self._accuracy())

    def event(self, event: Event) -> None:
        """What a worker reports."""
        if isinstance(event, Loaded) and self._bar is not None:
            self._bar.set_postfix_str(plain(event.device))
        if isinstance(event, Answered):
            self._done += 1
            self._correct += event.correct
            if self._bar is not None:
                self._bar.update()
                self._bar.set_postfix_str(self._accuracy())
            elif self._lines.due():
                self._say(self._accuracy())

    def stop(self, failure: str | None) -> None:
        """A configuration is over."""
        self.close()
        took = time.monotonic() - self._started_s
        end = f"failed: {failure}" if failure else f"{self._accuracy()}  {took:.0f} s"
        self._say(end)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _say(self, end: str) -> None:
        say(f"{self._title}  {self._done}/{self._total}  {end}", self._stream)

    def _accuracy(self) -> str:
        return f"accuracy {100 * self._correct / self._done:.1f} %" if self._done else ""
