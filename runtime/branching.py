"""Bookkeeping that every backend shares: ids, lengths, last logits, usage."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from convert.artifact import Artifact
from runtime.engine import (
    Branch,
    CacheFull,
    ContextFull,
    Logits,
    Output,
    Sampling,
    Step,
    Tokenizer,
    Usage,
    Work,
)
from runtime.extend import extend
from runtime.probe import Probe
from runtime.sampling import Sampler

NOTHING: Logits = np.zeros((0, 0), np.float32)


class BranchEngine(ABC):
    """An `Engine` on top of four backend operations on numbered slots of a KV cache.

    Logits of a branch's last token stay where the backend wrote them until the next decode; only
    then the rows of branches that sit it out are copied. A steady batch therefore copies nothing.
    """

    artifact: Artifact
    tokenizer: Tokenizer
    device: str
    context: int
    max_branches: int
    on_card: bool
    weight_bits: float
    kv_value_bytes: float

    def __init__(self, max_branches: int, probe: Probe | None = None, threads: int = 1) -> None:
        self.max_branches, self.probe, self.threads = max_branches, probe, threads
        self._slots: dict[int, int] = {}  # branch id -> slot
        self._roots: dict[int, int] = {}  # branch id -> id of its tree's root
        self._lengths: dict[int, int] = {}
        self._free = list(range(max_branches - 1, -1, -1))
        self._next_id = 0
        self._rows: dict[int, Logits] = {}  # branch id -> (V,) kept across decodes
        self._last: tuple[dict[int, int], Logits] = ({}, NOTHING)  # branch id -> row
        self._usage = Usage()
        self._sampler = Sampler(threads)

    # What a backend does. `slots`, `starts` and `tokens` run in parallel; every slot occurs once.

    @abstractmethod
    def evaluate(
        self,
        slots: Sequence[int],
        starts: Sequence[int],
        tokens: Sequence[Sequence[int]],
        *,
        hidden: bool,
        tails: Sequence[int],
    ) -> tuple[Output, int]:
        """Append tokens at positions `starts`; rows of the last `tails` of each, and their cost.

        The cost is the rows of the output projection that were computed. A tail may be 0.
        """

    @abstractmethod
    def share(self, source: int, target: int, length: int) -> None:
        """Let slot `target` start with the first `length` tokens of `source`."""

    @abstractmethod
    def cut(self, slot: int, length: int) -> None:
        """Drop what a slot holds beyond `length` tokens."""

    copies = False  # whether cells can be saved in main memory
    streams = False  # whether every slot has cells of its own, `context` of them
    most_rows: int | None = None  # of branches in a call, beyond which it gets much slower
    fast_rows: int | None = None  # of branches in a call, beyond which a card's best kernels end
    padded = False  # whether a call costs its longest branch for every branch

    def save(self, slot: int, spare: int, begin: int, end: int) -> bytes:
        """A copy of the cells at positions `begin` to `end`, made through a slot that is empty."""
        raise NotImplementedError

    def restore(self, slot: int, spare: int, saved: bytes) -> None:
        """Let a slot go on with saved cells."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Free the model and its memory."""

    @property
    @abstractmethod
    def kv_bytes(self) -> int:
        """Bytes that the KV cache occupies now."""

    @property
    def usage(self) -> Usage:
        return self._usage

    @contextmanager
    def open(self, tokens: Sequence[int]) -> Iterator[Branch]:
        if len(tokens) > self.context:
            raise ContextFull(
                f"the prompt has {len(tokens)} tokens and the KV cache holds {self.context}; "
                "raise --context"
            )
        root = self._new(None)
        try:
            if tokens:
                self.feed([root], [tokens])
            yield root
        finally:
            self._forget([branch for branch, tree in self._roots.items() if tree == root.id])

    def fork(self, branch: Branch, n: int) -> list[Branch]:
        length = self._lengths[branch.id]
        row = self._row(branch.id) if self._has_row(branch.id) else None
        children = [self._new(branch) for _ in range(n)]
        for child in children:
            self.share(self._slots[branch.id], self._slots[child.id], length)
            self._lengths[child.id] = length
            if row is not None:
                self._rows[child.id] = row
        return children

    def feed(
        self,
        branches: Sequence[Branch],
        tokens: Sequence[Sequence[int]],
        *,
        hidden: bool = False,
        work: Work = "prefill",
        tail: int = 1,
    ) -> Output:
        ids = [branch.id for branch in branches]
        if min(map(len, tokens)) < tail:
            raise ValueError(f"feed needs at least {tail} token(s) for every branch")
        self._keep_rows(set(ids))
        started = time.perf_counter()
        starts = [self._lengths[i] for i in ids]
        slots = [self._slots[i] for i in ids]
        output, rows = self.evaluate(slots, starts, tokens, hidden=hidden, tails=[tail] * len(ids))
        self._last = {i: (n + 1) * tail - 1 for n, i in enumerate(ids)}, output.logits
        count = context = 0
        for i, start, added in zip(ids, starts, tokens, strict=True):
            n = len(added)
            self._lengths[i] = start + n
            count += n
            context += n * start + n * (n + 1) // 2
        seconds = time.perf_counter() - started
        spent: dict[str, Any] = {f"{work}_tokens": count, f"{work}_s": seconds}
        self._usage += Usage(context_tokens=context, logit_rows=rows, calls=1, **spent)
        return output

    def rewind(self, branch: Branch, length: int) -> None:
        if not 0 <= length <= self._lengths[branch.id]:
            raise ValueError(f"cannot rewind {self._lengths[branch.id]} tokens to {length}")
        if length < self._lengths[branch.id]:
            self.cut(self._slots[branch.id], length)
            self._lengths[branch.id] = length
            self._rows.pop(branch.id, None)
            self._last[0].pop(branch.id, None)

    def release(self, branches: Sequence[Branch]) -> None:
        self._forget([branch.id for branch in branches])

    def length(self, branch: Branch) -> int:
        return self._lengths[branch.id]

    def logits(self, branches: Sequence[Branch]) -> Logits:
        rows, view = self._last
        where = [rows.get(branch.id, -1) for branch in branches]
        if where == list(range(len(view))):
            return view
        return np.stack([self._row(branch.id) for branch in branches])

    def extend(self, branches: Sequence[Branch], sampling: Sampling) -> list[Step]:
        steps, seconds = extend(self, self._sampler, branches, sampling)
        self._usage += Usage(sampling_s=seconds)
        return steps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _new(self, parent: Branch | None) -> Branch:
        if not self._free:
            raise CacheFull(f"all {self.max_branches} branches are in use; lower --width")
        if not self._slots:
            self._next_id = 0  # ids are part of the random stream: every tree starts alike
        branch = Branch(self._next_id, None if parent is None else parent.id)
        self._next_id += 1
        self._slots[branch.id] = self._free.pop()
        self._roots[branch.id] = branch.id if parent is None else self._roots[parent.id]
        self._lengths[branch.id] = 0
        return branch

    def _forget(self, ids: Sequence[int]) -> None:
        for i in ids:
            if i not in self._slots:
                continue
            slot = self._slots.pop(i)
            self.cut(slot, 0)
            self._free.append(slot)
            del self._lengths[i], self._roots[i]
            self._rows.pop(i, None)
            self._last[0].pop(i, None)

    def _keep_rows(self, fed: set[int]) -> None:
        """Copy the logits that the next decode would overwrite and somebody may still want."""
        rows, view = self._last
        for i, row in rows.items():
            if i not in fed:
                self._rows[i] = view[row].copy()
        for i in fed:
            self._rows.pop(i, None)
        self._last = {}, NOTHING

    def _has_row(self, i: int) -> bool:
        return i in self._rows or i in self._last[0]

    def _row(self, i: int) -> Logits:
        if i not in self._rows:
            if not self._has_row(i):
                raise ValueError(f"branch {i} holds no logits; feed it a token first")
            rows, view = self._last
            self._rows[i] = view[rows[i]].copy()
        return self._rows[i]
