"""Which branch sees which cell of one KV cache that all branches share.

Every token has one cell, in the order of evaluation. A branch sees its own cells and those of the
prefix it was forked from; the attention bias hides the others. So a fork copies nothing, and
branches of any length are evaluated in one call.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

HIDDEN = np.float32(-60000)  # added to a score; float16 holds it
SLACK = 256  # holes that are not worth the moving

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


class Cells:
    """The visible cells of every slot, the position of every cell, and how many cells are taken."""

    def __init__(self, slots: int, capacity: int, window: int | None = None) -> None:
        self.used = 0  # cells up to the last one that somebody sees
        self.live = 0  # cells that somebody sees
        self._capacity, self._window = capacity, window
        self._bias = np.full((slots, capacity), HIDDEN, np.float32)
        self._positions = np.zeros(capacity, np.int32)
        self._users = np.zeros(capacity, np.int32)

    def fits(self, count: int) -> bool:
        """Whether so many more tokens find room, after `compact` at the latest."""
        return self.live + count <= self._capacity

    def ragged(self, count: int) -> bool:
        """Whether to compact before so many more tokens: no room behind, or mostly holes."""
        return self.used + count > self._capacity or self.used > SLACK + 2 * self.live

    def append(self, slots: npt.NDArray[np.int32], positions: npt.NDArray[np.int32]) -> Floats:
        """Take a cell for each token; (S, T) biases of the new tokens over all cells in use."""
        begin, end = self.used, self.used + len(slots)
        self._bias[slots, np.arange(begin, end)] = 0
        self._positions[begin:end] = positions
        self._users[begin:end] = 1
        self.used, self.live = end, self.live + len(slots)
        rows = self._bias[slots, :end]
        if self._window is not None and positions.max() >= self._window:
            oldest = positions[:, None] - self._window
            rows[self._positions[:end] <= oldest] = HIDDEN
        return rows

    def share(self, source: int, target: int, length: int) -> None:
        """Let `target` see the first `length` tokens of `source`."""
        seen = (self._bias[source, : self.used] == 0) & (self._positions[: self.used] < length)
        self._bias[target, : self.used][seen] = 0
        self._users[: self.used] += seen

    def cut(self, slot: int, length: int) -> None:
        """Hide what a slot sees beyond `length` tokens; cells that nobody sees are free."""
        row, users = self._bias[slot, : self.used], self._users[: self.used]
        gone = (row == 0) & (self._positions[: self.used] >= length)
        row[gone] = HIDDEN
        users -= gone
        self.live -= int(np.count_nonzero(gone & (users == 0)))
        if self.used and not users[-1]:
            kept = np.flatnonzero(users)
            self.used = int(kept[-1]) + 1 if len(kept) else 0

    def compact(self) -> Indices:
        """Close the holes; the cells that stay, in order: cell n of the cache becomes kept[n]."""
        kept = np.flatnonzero(self._users[: self.used])
        for state in (self._positions, self._users):
            state[: len(kept)] = state[kept]
        self._users[len(kept) : self.used] = 0
        self._bias[:, : len(kept)] = self._bias[:, kept]
        self._bias[:, len(kept) : self.used] = HIDDEN
        self.used = len(kept)
        return kept
