"""The token loop: all branches of a level together, each until its own stop."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from runtime.engine import Branch, Engine, Finish, Hidden, Output, Sampling, Step
from runtime.loops import LoopWatch
from runtime.sampling import Sampler


@dataclass(slots=True)
class Draft:
    """A step being written."""

    ends: Ends
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    readings: list[Hidden] = field(default_factory=list)
    state: Hidden | None = None
    text: bytearray = field(default_factory=bytearray)
    finish: Finish | None = None
    loop: LoopWatch = field(default_factory=LoopWatch)

    def take(self, token: int, logprob: float, entropy: float | None = None) -> None:
        """The token that was drawn: it goes on, or it ends the step."""
        if token in self.ends.eos_ids:
            self.finish = "eos"
            return
        piece = self.ends.pieces[token]
        self.token_ids.append(token)
        self.logprobs.append(logprob)
        if entropy is not None:
            self.entropies.append(entropy)
        self.text += piece
        if self.ends.stops and self.ends.stopped(self.text, len(piece)):
            self.finish = "stop"
        elif len(self.token_ids) >= self.ends.max_tokens:
            self.finish = "length"
        elif self.ends.loops and self.loop.take(token):
            self.finish = "loop"

    def read(self, output: Output, row: int) -> None:
        """What the engine saw of the token just fed."""
        if output.readings is not None:
            self.readings.append(output.readings[row])
        if output.hidden is not None:
            self.state = output.hidden[row].copy()

    def step(self) -> Step:
        assert self.finish is not None
        text = self.text.decode("utf-8", "replace")
        return Step(
            text,
            tuple(self.token_ids),
            tuple(self.logprobs),
            self.finish,
            tuple(self.entropies),
            tuple(self.readings),
            self.state,
        )


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends a step."""

    max_tokens: int
    stops: tuple[bytes, ...]
    eos_ids: Collection[int]
    pieces: Sequence[bytes]  # the text of every id
    loops: bool = False  # whether a text that repeats itself ends

    def stopped(self, text: bytearray, added: int) -> bool:
        """Whether a stop string ends inside the bytes just added."""
        return any(
            text.find(stop, max(0, len(text) - added - len(stop) + 1)) >= 0 for stop in self.stops
        )


def step_ends(engine: Engine, sampling: Sampling) -> Ends:
    """What ends a step of an engine."""
    stops = tuple(stop.encode() for stop in sampling.stop)
    tokenizer = engine.tokenizer
    return Ends(
        sampling.max_tokens, stops, tokenizer.eos_ids, tokenizer.pieces, sampling.stop_loops
    )


def extend(
    engine: Engine, sampler: Sampler, branches: Sequence[Branch], sampling: Sampling
) -> tuple[list[Step], float]:
    """Grow every branch by one step; returns the steps, in order, and the seconds spent sampling.

    Each round draws one token for every unfinished branch and feeds them in one call. Afterwards
    a branch holds all its tokens and its next logits, so that it can be forked at once; only an
    end-of-sequence token is not fed.

    Raises:
        CacheFull: if the KV cache cannot hold another round.
    """
    ends = step_ends(engine, sampling)
    drafts = [Draft(ends) for _ in branches]
    starts = [engine.length(branch) for branch in branches]
    live, logits, sampling_s = list(range(len(branches))), engine.logits(branches), 0.0
    while live:
        started = time.perf_counter()
        ids = [branches[n].id for n in live]
        positions = [starts[n] + len(drafts[n].token_ids) for n in live]
        probed = engine.probe is not None
        found = sampler.draw(logits, sampling, ids, positions, entropies=probed)
        drawn = zip(*(values.tolist() for values in found), strict=True)
        for n, numbers in zip(live, drawn, strict=True):
            drafts[n].take(*numbers)
        sampling_s += time.perf_counter() - started
        fed = [n for n in live if drafts[n].finish != "eos"]
        if fed:
            output = engine.feed(
                [branches[n] for n in fed],
                [drafts[n].token_ids[-1:] for n in fed],
                hidden=sampling.states,
                work="decode",
            )
            for row, n in enumerate(fed):
                drafts[n].read(output, row)
            rows = [row for row, n in enumerate(fed) if drafts[n].finish is None]
            logits = output.logits if len(rows) == len(fed) else output.logits[rows]
        live = [n for n in fed if drafts[n].finish is None]
    return [draft.step() for draft in drafts], sampling_s
