"""A progress bar on stderr, only where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Bar:
    """One bar; `tqdm` underneath."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def step(self, name: str) -> None:
        """One more, and what it is."""
        self._bar.set_postfix_str(name, refresh=False)
        self._bar.update()

    def to(self, done: int, total: int) -> None:
        """Set how much is done, and of how much."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)


class Progress:
    """Makes bars, visible or not."""

    def __init__(self, *, visible: bool = False) -> None:
        self._visible = visible

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        """A bar of `total` steps for the time of a block."""
        from tqdm import tqdm

        shown = tqdm(
            total=total or None,
            desc=title,
            disable=not self._visible,
            file=sys.stderr,
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc:<14} {percentage:3.0f}% |{bar:24}| {n_fmt}/{total_fmt} {postfix}",
        )
        with shown:
            yield Bar(shown)
