"""What one job sees of an engine that it shares: an engine of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import numpy as np

from runtime.chains import Chain
from runtime.engine import Branch, ContextFull, Logits, Output, Sampling, Step, Usage, Work
from runtime.extend import step_ends
from runtime.jobs import Job
from runtime.lane import Lane
from runtime.requests import Books, Feed, extension

MANY = 1 << 16  # branches; those beyond the engine's slots take turns


class SharedEngine:
    """An `Engine` whose branches have ids of their own tree, and whose calls meet in rounds.

    A full KV cache makes its branches wait. Only what is longer than the cache by itself does not
    fit: a prompt is refused, a branch that is extended stops there with `length`.
    """

    def __init__(self, lane: Lane, job: Job) -> None:
        engine = lane.engine
        self.artifact, self.tokenizer = engine.artifact, engine.tokenizer
        self.device, self.context = engine.device, engine.context
        self.max_branches, self.on_card = MANY, engine.on_card
        self.probe = engine.probe
        self.weight_bits, self.kv_value_bytes = engine.weight_bits, engine.kv_value_bytes
        self._lane, self._job, self._books = lane, job, Books()
        self._chains: dict[int, Chain] = {}  # branch id -> what it holds
        self._roots: dict[int, int] = {}  # branch id -> id of its tree's root
        self._next_id = 0

    @property
    def usage(self) -> Usage:
        return self._books.usage

    @property
    def kv_bytes(self) -> int:
        return self._lane.engine.kv_bytes

    @contextmanager
    def open(self, tokens: Sequence[int]) -> Iterator[Branch]:
        if len(tokens) > self.context:
            raise ContextFull(
                f"the prompt has {len(tokens)} tokens and the KV cache holds {self.context}; "
                "raise --context"
            )
        chain = self._lane.plant(self._job.age, tokens)
        root = self._new(chain, None)
        try:
            if tokens:
                self._job.wait(self._lane, Feed(self._books, [chain], [tokens], chunked=True))
            yield root
        finally:
            self._forget([branch for branch, tree in self._roots.items() if tree == root.id])

    def fork(self, branch: Branch, n: int) -> list[Branch]:
        chain = self._chains[branch.id]
        return [self._new(self._lane.fork(chain), branch) for _ in range(n)]

    def feed(
        self,
        branches: Sequence[Branch],
        tokens: Sequence[Sequence[int]],
        *,
        hidden: bool = False,
        work: Work = "prefill",
        tail: int = 1,
    ) -> Output:
        chains = [self._chains[branch.id] for branch in branches]
        if min(map(len, tokens)) < tail:
            raise ValueError(f"feed needs at least {tail} token(s) for every branch")
        for chain, added in zip(chains, tokens, strict=True):
            if chain.length + len(added) > self.context:
                raise ContextFull(
                    f"{chain.length} and {len(added)} tokens are more than the KV cache of "
                    f"{self.context}; raise --context"
                )
        request = Feed(self._books, chains, list(tokens), hidden, work, tail)
        self._job.wait(self._lane, request)
        return request.output()

    def rewind(self, branch: Branch, length: int) -> None:
        chain = self._chains[branch.id]
        if not 0 <= length <= chain.length:
            raise ValueError(f"cannot rewind {chain.length} tokens to {length}")
        self._lane.cut(chain, length)

    def release(self, branches: Sequence[Branch]) -> None:
        self._forget([branch.id for branch in branches])

    def length(self, branch: Branch) -> int:
        return self._chains[branch.id].length

    def logits(self, branches: Sequence[Branch]) -> Logits:
        return np.stack([self._row(branch) for branch in branches])

    def extend(self, branches: Sequence[Branch], sampling: Sampling) -> list[Step]:
        for branch in branches:
            self._row(branch)
        chains = [self._chains[branch.id] for branch in branches]
        ids = [branch.id for branch in branches]
        request = extension(self._books, chains, ids, step_ends(self, sampling), sampling)
        self._job.wait(self._lane, request)
        return [growth.draft.step() for growth in request.growths]

    def close(self) -> None:
        """Nothing: the engine is the scheduler's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _new(self, chain: Chain, parent: Branch | None) -> Branch:
        if not self._chains:
            self._next_id = 0  # ids are part of the random stream: every tree starts alike
        branch = Branch(self._next_id, None if parent is None else parent.id)
        self._next_id += 1
        self._chains[branch.id] = chain
        self._roots[branch.id] = branch.id if parent is None else self._roots[parent.id]
        return branch

    def _forget(self, ids: Sequence[int]) -> None:
        gone = [i for i in ids if i in self._chains]
        self._lane.release([self._chains.pop(i) for i in gone])
        for i in gone:
            del self._roots[i]

    def _row(self, branch: Branch) -> Logits:
        row = self._chains[branch.id].row
        if row is None:
            raise ValueError(f"branch {branch.id} holds no logits; feed it a token first")
        return row
