"""One engine under a scheduler: every round is one call for all that wait for it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from runtime.branching import BranchEngine
from runtime.chains import Chain, Link
from runtime.engine import Logits, Usage
from runtime.prompts import MOST, Prompts
from runtime.requests import Books, Extend, Feed, Growth, Part, rows
from runtime.residence import Demand, Residence
from runtime.sampling import Sampler

PROMPT_TOKENS = 256  # of new prompts in one call, so that the others do not wait long


@dataclass(frozen=True, slots=True)
class Counters:
    """What an engine does at the moment, and did so far."""

    live: int  # branches
    resident: int  # of them in the KV cache
    cells: int  # of the KV cache in use
    capacity: int
    waiting: int  # rows that the last call had no room for
    calls: int
    shared_tokens: int  # of prompts that were in the cache already
    copied_tokens: int  # put into main memory
    reread_tokens: int  # evaluated once more
    cut_off: int  # paths that became longer than the context
    usage: Usage


class Lane:
    """Branches of many trees on one engine, and their requests."""

    def __init__(self, engine: BranchEngine) -> None:
        self.engine, self.capacity = engine, engine.context
        self.waiting = 0
        self.prompts = Prompts()
        self._residence = Residence(engine)
        self._live: dict[Chain, None] = {}
        self._sampler = Sampler(engine.threads)
        self._books = Books()
        self._reread = self._cut_off = 0

    def counters(self) -> Counters:
        residence = self._residence
        return Counters(
            live=len(self._live),
            resident=residence.resident,
            cells=residence.used,
            capacity=self._residence.capacity,
            waiting=self.waiting,
            calls=self._books.calls,
            shared_tokens=self.prompts.shared_tokens,
            copied_tokens=residence.copied_tokens,
            reread_tokens=self._reread,
            cut_off=self._cut_off,
            usage=self._books.usage,
        )

    def plant(self, age: int, tokens: Sequence[int]) -> Chain:
        """The root of a tree that is about to read a prompt."""
        chain = Chain(age)
        self._live[chain] = None
        self.prompts.add(chain, tokens)
        return chain

    def fork(self, chain: Chain) -> Chain:
        child = chain.fork()
        self._live[child] = None
        return child

    def cut(self, chain: Chain, length: int) -> None:
        chain.cut(length)
        self._residence.trim(chain)

    def release(self, chains: Sequence[Chain]) -> None:
        for chain in chains:
            self._live.pop(chain, None)
            self.prompts.drop(chain)
        for chain in chains:
            self._residence.forget(chain, self._all())

    def forget_prompts(self) -> None:
        """Free what is kept for prompts to come."""
        while self.prompts.trunks:
            self._residence.forget(self.prompts.trunks.pop(0), self._all())
        self._residence.settle()

    def round(self, requests: Sequence[Feed | Extend]) -> None:
        """Go one token, or one part of a prompt, ahead with requests, the oldest first."""
        self._begin(requests)
        wanted = list(self._rows(requests))
        demands = [Demand(row.chain, len(row.tokens)) for row in wanted]
        chosen = wanted if self._residence.holds(demands) else self._admitted(wanted, demands)
        self.waiting = len(wanted) - len(chosen)
        for part in self._calls(chosen):
            self._call(part)

    def _admitted(self, wanted: Sequence[Part], demands: Sequence[Demand]) -> list[Part]:
        """Those that fit; others leave the cache for them."""
        places = self._residence.choose(demands)
        self._residence.make_room([demands[n] for n in places], self._all())
        return [wanted[n] for n in places]

    def _all(self) -> Iterator[Chain]:
        yield from self._live
        yield from self.prompts.trunks

    def _rows(self, requests: Iterable[Feed | Extend]) -> Iterator[Part]:
        budget = PROMPT_TOKENS
        for request in requests:
            if isinstance(request, Feed) and request.chunked:
                (chain,) = request.chains
                if not budget or not self._begun(request, chain):
                    continue
                for row in rows(request, budget):
                    budget -= len(row.tokens)
                    yield row
            else:
                yield from rows(request, 0)

    def _begun(self, request: Feed, chain: Chain) -> bool:
        """Whether a prompt can be read now: what it shares with others need not be."""
        if chain.length:
            return True
        if not self.prompts.begin(chain):
            return False
        request.tokens[0] = request.tokens[0][chain.length :]
        if self.engine.streams:
            for trunk in self.prompts.trunks:
                self._residence.park(trunk)
        while len(self.prompts.trunks) > MOST:
            self._residence.forget(self.prompts.trunks.pop(0), self._all())
        return True

    def _calls(self, chosen: Sequence[Part]) -> Iterator[list[Part]]:
        """Rows that go into one call: those that grow lead, text goes apart from hidden states."""
        growing = [row for row in chosen if row.growth]
        others = [row for row in chosen if not row.growth and not row.hidden]
        states = [row for row in chosen if not row.growth and row.hidden]
        most = self.engine.most_rows
        if most is not None or self.engine.padded or any(row.hidden for row in growing):
            size = most or max(1, len(growing))
            parts = [growing[n : n + size] for n in range(0, len(growing), size)] + [others]
        else:
            parts = [growing + others]
        yield from filter(None, [*parts, states])

    def _bring(self, wanted: Sequence[Part]) -> tuple[list[Part], list[int]]:
        """Rows whose branches are in the cache now, and up to where.

        What several would have to read again, the first reads and the others wait for.
        """
        reading: set[Link] = set()
        part, starts = [], []
        for row in wanted:
            start = self._residence.bring(row.chain)
            lost = row.chain.beyond(start) if start < row.chain.length else set()
            if not lost & reading:
                reading |= lost
                part.append(row)
                starts.append(start)
        self._residence.settle()
        return part, starts

    def _call(self, wanted: Sequence[Part]) -> None:
        started = time.perf_counter()
        part, starts = self._bring(wanted)
        if self.engine.streams:  # llama.cpp computes those together whose slots follow each other
            self._residence.close_ranks(row.chain for row in part)
            order = sorted(range(len(part)), key=lambda n: part[n].chain.slot or 0)
            part, starts = [part[n] for n in order], [starts[n] for n in order]
        tokens = [
            [*row.chain.tokens(start), *row.tokens] if start < row.chain.length else row.tokens
            for row, start in zip(part, starts, strict=True)
        ]
        tails = [row.tail for row in part]
        slots = [row.chain.slot for row in part if row.chain.slot is not None]
        output, computed = self.engine.evaluate(
            slots, starts, tokens, hidden=any(row.hidden for row in part), tails=tails
        )
        for row, start in zip(part, starts, strict=True):
            self._reread += row.chain.length - start
            row.chain.append(row.tokens)
            self._residence.grown(row.chain, start)
        self._book(part, starts, computed, time.perf_counter() - started)
        ends = np.cumsum([0, *tails])
        grown = [n for n, row in enumerate(part) if row.growth]
        growths = [row.growth for row in part if row.growth]
        for n, growth in zip(ends[grown].tolist(), growths, strict=True):
            growth.draft.read(output, n)
        together = grown == [*range(len(grown))]  # then nothing has to be copied
        self._grow(growths, output.logits[: len(grown)] if together else output.logits[ends[grown]])
        for row, (begin, end) in zip(part, pairwise(ends.tolist()), strict=True):
            if row.growth is None:
                read = [
                    None if rows is None else rows[begin:end]
                    for rows in (output.hidden, output.readings)
                ]
                row.take(output.logits[begin:end], *read)
                if row.request.done:
                    self.prompts.read(row.chain)

    def _book(
        self, part: Sequence[Part], starts: Sequence[int], computed: int, seconds: float
    ) -> None:
        """Book a call: every view has its tokens, and of the time the share of its tokens."""
        total = sum(row.chain.length - start for row, start in zip(part, starts, strict=True))
        each_token = computed > sum(row.tail for row in part)  # had a row of logits
        for row, start in zip(part, starts, strict=True):
            n = row.chain.length - start
            reread = n - len(row.tokens)
            drawn = (n if each_token else row.tail) if computed else 0
            for books in (row.request.books, self._books):
                books.tokens["prefill"] += reread
                books.tokens[row.work] += len(row.tokens)
                books.seconds[row.work] += seconds * n / total
                books.context += n * start + n * (n + 1) // 2
                books.rows += drawn
        for books in [self._books, *{id(r.request.books): r.request.books for r in part}.values()]:
            books.calls += 1

    def _begin(self, requests: Iterable[Feed | Extend]) -> None:
        """Draw the first token of branches that are to be extended."""
        grown = [g for r in requests if isinstance(r, Extend) for g in r.growths if g.fresh]
        kept = [(g, g.chain.row) for g in grown if g.chain.row is not None]
        if kept:
            self._grow([growth for growth, _ in kept], np.stack([row for _, row in kept]))

    def _grow(self, growths: Sequence[Growth], logits: Logits) -> None:
        """Draw the next token where a step goes on; keep the row (B, V) where it ends."""
        open_ = [g.draft.finish is None and g.chain.length < self.capacity for g in growths]
        drawn = self._draw(growths, logits) if any(open_) else []
        for n, growth in enumerate(growths):
            growth.token = None
            if open_[n]:
                growth.take(*drawn[n])
            elif growth.draft.finish is None:
                growth.draft.finish = "length"
                self._cut_off += 1
            if growth.done:
                growth.chain.row = logits[n].copy()

    def _draw(self, growths: Sequence[Growth], logits: Logits) -> list[tuple[Any, ...]]:
        """A token and its log-probability for every row, those of one kind of sampling together.

        With a probe the entropy too.
        """
        started = time.perf_counter()
        kinds: dict[tuple[float, float, bool], list[int]] = {}
        for n, growth in enumerate(growths):
            sampling = growth.sampling
            kind = sampling.temperature, sampling.top_p, sampling.logprobs
            kinds.setdefault(kind, []).append(n)
        drawn: list[tuple[Any, ...]] = [()] * len(growths)
        for places in kinds.values():
            some = [growths[n] for n in places]
            rows = logits if len(places) == len(growths) else logits[places]
            found = self._sampler.draw(
                rows,
                some[0].sampling,
                [growth.branch_id for growth in some],
                [growth.chain.length for growth in some],
                [growth.sampling.seed for growth in some],
                entropies=self.engine.probe is not None,
            )
            each = zip(*(values.tolist() for values in found), strict=True)
            for n, values in zip(places, each, strict=True):
                drawn[n] = values
        seconds = time.perf_counter() - started
        self._books.sampling_s += seconds
        for growth in growths:
            growth.books.sampling_s += seconds / len(growths)
        return drawn
