"""Progress of long work on stderr: a bar on a terminal, else a line a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from convert.printing import say

EVERY_S = 60.0  # between two lines of the same work


class Bar:
    """How far one piece of work has come; on a terminal `tqdm` underneath."""

    def __init__(self, title: str, total: int, stream: TextIO | None, bar: Any) -> None:
        self._title, self._done, self._total = title, 0, total
        self._stream, self._bar = stream, bar
        self._lines = Lines()

    def step(self, name: str) -> None:
        """One more, and what it is."""
        self._bar.set_postfix_str(name, refresh=False)
        self.to(self._done + 1, self._total)

    def to(self, done: int, total: int) -> None:
        """Set how much is done, and of how much."""
        self._bar.total = total or None
        self._bar.update(done - self._done)
        self._done, self._total = done, total
        if self._stream is not None and self._bar.disable and self._lines.due():
            say(f"{self._title}  {done}/{total}", self._stream)


class Lines:
    """When another line is due: first after a while, so that short work says nothing."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def due(self) -> bool:
        """Whether the last one is long enough ago; then the next one counts from now."""
        now = time.monotonic()
        if now - self._last_s < EVERY_S:
            return False
        self._last_s = now
        return True


class Progress:
    """Makes bars on a stream; on None they are not seen."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        """A bar of `total` steps for the time of a block."""
        from tqdm import tqdm

        shown = tqdm(
            total=total or None,
            desc=title,
            disable=self._stream is None or not self._stream.isatty(),
            file=self._stream,
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc:<14} {percentage:3.0f}% |{bar:24}| {n_fmt}/{total_fmt} {postfix}",
        )
        with shown:
            yield Bar(title, total, self._stream, shown)
