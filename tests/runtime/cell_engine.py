"""An engine of cells alone: it checks every call, and its rows say what a branch sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convert.artifact import Artifact
from runtime.branching import BranchEngine
from runtime.engine import Output
from runtime.scripted_engine import SHAPE, ByteTokenizer

VOCABULARY = 32


class CellEngine(BranchEngine):
    """Slots see cells; a cell is a position and a token, and exists while a slot sees it."""

    def __init__(
        self, context: int, max_branches: int, *, copies: bool, streams: bool = False
    ) -> None:
        super().__init__(max_branches)
        self.streams = streams
        self.artifact = Artifact(
            Path("cells"), "torch", "f32", "policy", "cells", SHAPE, 0, 32.0, "cells"
        )
        self.tokenizer = ByteTokenizer()
        self.device, self.context, self.copies = "cells", context, copies
        self.on_card, self.weight_bits, self.kv_value_bytes = False, 32.0, 2.0
        self.seen: list[set[tuple[int, int, int]]] = [set() for _ in range(max_branches)]
        self.most = self.calls = self._made = 0

    @property
    def kv_bytes(self) -> int:
        return 0

    @property
    def cells(self) -> int:
        return len(set().union(*self.seen))

    def tokens(self, slot: int) -> list[int]:
        """What a slot sees; every position exactly once."""
        cells = sorted(self.seen[slot])
        assert [position for position, _, _ in cells] == list(range(len(cells)))
        return [token for _, token, _ in cells]

    def evaluate(
        self,
        slots: Sequence[int],
        starts: Sequence[int],
        tokens: Sequence[Sequence[int]],
        *,
        hidden: bool,
        tails: Sequence[int],
    ) -> tuple[Output, int]:
        assert len(set(slots)) == len(slots)
        rows = []
        for slot, start, added, tail in zip(slots, starts, tokens, tails, strict=True):
            assert added
            assert len(self.tokens(slot)) == start
            for n, token in enumerate(added):
                self._made += 1
                self.seen[slot].add((start + n, token, self._made))
            whole = self.tokens(slot)
            rows += [row(whole[:end]) for end in range(len(whole) - tail + 1, len(whole) + 1)]
        self.calls += 1
        self.most = max(self.most, self.cells)
        assert self.cells <= self.context * (self.max_branches if self.streams else 1)
        logits = np.array(rows, np.float32).reshape(-1, VOCABULARY)
        return Output(logits, logits if hidden else None), len(rows)

    def share(self, source: int, target: int, length: int) -> None:
        self.seen[target] |= {cell for cell in self.seen[source] if cell[0] < length}

    def cut(self, slot: int, length: int) -> None:
        self.seen[slot] = {cell for cell in self.seen[slot] if cell[0] < length}

    def save(self, slot: int, spare: int, begin: int, end: int) -> bytes:
        assert not self.seen[spare]
        return bytes([begin // 256, begin % 256, *self.tokens(slot)[begin:end]])

    def restore(self, slot: int, spare: int, saved: bytes) -> None:
        assert not self.seen[spare]
        begin = saved[0] * 256 + saved[1]
        for n, token in enumerate(saved[2:]):
            self._made += 1
            self.seen[slot].add((begin + n, token, self._made))

    def close(self) -> None:
        pass


def row(tokens: Sequence[int]) -> list[float]:
    """Next-token logits that any change of any token changes."""
    return [float(hash((*tokens, n)) % 997) / 100 for n in range(VOCABULARY)]
