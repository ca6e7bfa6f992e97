"""The token loop: all branches of a level together, each until its own stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.engine import Branch, Engine, Finish, Sampling, Step
from runtime.sampling import Sampler


@dataclass(slots=True)
class _Draft:
    """A step being written."""

    branch: Branch
    position: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)
    finish: Finish | None = None

    def take(self, token: int, logprob: float, piece: bytes, limits: _Limits) -> None:
        self.token_ids.append(token)
        self.logprobs.append(logprob)
        self.text += piece
        self.position += 1
        if limits.stops and limits.stopped(self.text, len(piece)):
            self.finish = "stop"
        elif len(self.token_ids) >= limits.max_tokens:
            self.finish = "length"

    def step(self) -> Step:
        assert self.finish is not None
        text = self.text.decode("utf-8", "replace")
        return Step(text, tuple(self.token_ids), tuple(self.logprobs), self.finish)


@dataclass(frozen=True, slots=True)
class _Limits:
    max_tokens: int
    stops: tuple[bytes, ...]

    def stopped(self, text: bytearray, added: int) -> bool:
        """Whether a stop string ends inside the bytes just added."""
        return any(
            text.find(stop, max(0, len(text) - added - len(stop) + 1)) >= 0 for stop in self.stops
        )


def extend(
    engine: Engine, sampler: Sampler, branches: Sequence[Branch], sampling: Sampling
) -> tuple[list[Step], float]:
    """Grow every branch by one step; returns the steps, in order, and the seconds spent sampling.

    Each round draws one token for every unfinished branch and feeds them in one call. Afterwards
    a branch holds all its tokens and its next logits, so that it can be forked at once; only an
    end-of-sequence token is not fed.

    Raises:
        ContextFull: if the KV cache cannot hold another round.
    """
    limits = _Limits(sampling.max_tokens, tuple(stop.encode() for stop in sampling.stop))
    pieces, eos_ids = engine.tokenizer.pieces, engine.tokenizer.eos_ids
    drafts = [_Draft(branch, engine.length(branch)) for branch in branches]
    live, logits, sampling_s = drafts, engine.logits(branches), 0.0
    while live:
        started = time.perf_counter()
        ids, positions = [d.branch.id for d in live], [d.position for d in live]
        tokens, logprobs = sampler.draw(logits, sampling, ids, positions)
        for draft, token, logprob in zip(live, tokens.tolist(), logprobs.tolist(), strict=True):
            if token in eos_ids:
                draft.finish = "eos"
            else:
                draft.take(token, logprob, pieces[token], limits)
        sampling_s += time.perf_counter() - started
        fed = [draft for draft in live if draft.finish != "eos"]
        if fed:
            output = engine.feed(
                [d.branch for d in fed], [d.token_ids[-1:] for d in fed], work="decode"
            )
            rows = [row for row, draft in enumerate(fed) if draft.finish is None]
            logits = output.logits if len(rows) == len(fed) else output.logits[rows]
        live = [draft for draft in fed if draft.finish is None]
    return [draft.step() for draft in drafts], sampling_s
