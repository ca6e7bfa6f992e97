"""Ten thousand random operations on a small cache, against an engine that checks every cell."""

from __future__ import annotations

import random

import numpy as np
import pytest

from runtime.chains import Chain
from runtime.lane import Lane
from runtime.requests import Books, Feed
from tests.runtime.cell_engine import VOCABULARY, CellEngine, row


class Model:
    """What branches hold, as plain lists."""

    def __init__(self, lane: Lane, seed: int) -> None:
        self.lane, self.random = lane, random.Random(seed)
        self.texts: dict[Chain, list[int]] = {}
        self.age = 0

    def tokens(self, most: int) -> list[int]:
        return [self.random.randrange(VOCABULARY) for _ in range(self.random.randint(1, most))]

    def some(self) -> Chain:
        return self.random.choice(list(self.texts))

    def plant(self) -> None:
        self.age += 1
        old = self.random.choice(list(self.texts.values())) if self.texts else []
        tokens = [*old[: self.random.randrange(40)], *self.tokens(20)]  # some share a beginning
        chain = self.lane.plant(self.age, tokens)
        self.texts[chain] = []
        self.read([Feed(Books(), [chain], [tokens], chunked=True)], [tokens])

    def feed(self) -> None:
        count = self.random.randint(1, min(12, len(self.texts)))
        chains = self.random.sample(list(self.texts), count)
        chains = [c for c in chains if len(self.texts[c]) < 60]
        if chains:
            tokens = [self.tokens(6) for _ in chains]
            requests = [Feed(Books(), [c], [t]) for c, t in zip(chains, tokens, strict=True)]
            self.read(requests, tokens)

    def read(self, requests: list[Feed], tokens: list[list[int]]) -> None:
        for _ in range(200):
            waiting = [request for request in requests if not request.done]
            if not waiting:
                break
            self.lane.round(waiting)
        for request, added in zip(requests, tokens, strict=True):
            (chain,) = request.chains
            self.texts[chain] += added
            assert np.allclose(request.output().logits, row(self.texts[chain]))

    def fork(self) -> None:
        chain = self.some()
        for _ in range(self.random.randint(1, 5)):
            self.texts[self.lane.fork(chain)] = list(self.texts[chain])

    def cut(self) -> None:
        chain = self.some()
        length = self.random.randint(1, len(self.texts[chain]))
        self.lane.cut(chain, length)
        del self.texts[chain][length:]

    def release(self) -> None:
        chains = self.random.sample(list(self.texts), self.random.randint(1, len(self.texts)) // 3)
        self.lane.release(chains)
        for chain in chains:
            del self.texts[chain]


@pytest.mark.parametrize(("copies", "streams"), [(True, False), (False, False), (True, True)])
def test_no_cell_leaks_and_no_row_is_wrong(copies: bool, streams: bool) -> None:
    engine = CellEngine(context=160, max_branches=9, copies=copies, streams=streams)
    lane = Lane(engine)
    model = Model(lane, seed=copies)
    if copies:
        lane._residence._least_copy = 8
    for _ in range(5000):
        ways = [model.feed] * 5 + [model.fork, model.cut, model.release, model.plant]
        (model.random.choice(ways) if model.texts else model.plant)()
        while len(model.texts) > 40:
            model.release()
        for chain, text in model.texts.items():
            assert chain.length == len(text)
            assert chain.tokens(0) == text
        lane._residence.settle()
        assert lane.counters().cells == engine.cells
    counters = lane.counters()
    assert engine.most > 150
    assert counters.reread_tokens
    assert bool(counters.copied_tokens) == copies
    assert counters.shared_tokens
    lane.release(list(model.texts))
    lane.forget_prompts()
    lane._residence.settle()
    assert engine.cells == lane.counters().cells == lane.counters().resident == 0
    assert len(lane._residence._free) == lane._residence.slots
