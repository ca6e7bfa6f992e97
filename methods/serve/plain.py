"""Plain completions: n independent samples of one prompt, told token by token where asked."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from methods.likelihood import ranked
from runtime.engine import Branch, Engine, Finish, Logits, Sampling
from runtime.sampling import Sampler

Ranked = tuple[tuple[int, float], ...]  # (id, logprob), likeliest first


@dataclass(frozen=True, slots=True)
class Wanted:
    """A completion request, read."""

    prompt: tuple[int, ...]
    sampling: Sampling  # of a whole completion
    n: int = 1
    top_logprobs: int | None = None
    silent: bool = False  # nothing is sampled
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)

    @property
    def bent(self) -> bool:
        """Whether more than the model's own logits decides."""
        return bool(self.presence_penalty or self.frequency_penalty or self.bias)


@dataclass(frozen=True, slots=True)
class Token:
    """One sampled token as it is told: its text may be empty where a character goes on."""

    index: int  # of the completion
    text: str
    id: int
    logprob: float
    top: Ranked = ()


@dataclass(slots=True)
class Completion:
    """A completion under way, or done: its text without the stop."""

    branch: Branch
    position: int
    decoder: codecs.IncrementalDecoder
    finish: Finish | None = None
    tokens: list[Token] = field(default_factory=list)
    text: str = ""
    told: int = 0  # characters

    @property
    def held(self) -> str:
        """What was not told with a token: it might have become a stop, and the text ended."""
        return self.text[self.told :]

    def take(self, piece: bytes, stops: Sequence[str]) -> None:
        """Read on; a stop ends the text before it."""
        before = len(self.text)
        self.text += self.decoder.decode(piece)  # errors are replaced
        longest = max(map(len, stops), default=1)
        for stop in stops:
            found = self.text.find(stop, max(0, before - longest + 1))
            if found >= 0:
                self.text, self.finish = self.text[:found], "stop"

    def news(self, stops: Sequence[str]) -> str:
        """Text that can be told: what may still become a stop is held back."""
        end = len(self.text)
        if self.finish is None:
            held = (
                size
                for stop in stops
                for size in range(min(len(stop), end), 0, -1)
                if self.text.endswith(stop[:size])
            )
            end -= max(held, default=0)
        found = self.text[self.told : end]
        self.told = max(self.told, end)
        return found


def complete(
    engine: Engine, wanted: Wanted, tell: Callable[[Token], None] | None = None
) -> list[Completion]:
    """All completions of a prompt.

    With `tell` every token is told when it is sampled; without, and where nothing but texts is
    wanted, all tokens are drawn in one call of the engine.
    """
    with engine.open(wanted.prompt) as root:
        branches = engine.fork(root, wanted.n) if wanted.n > 1 else [root]
        drafts = [_draft(branch, engine.length(branch)) for branch in branches]
        if not wanted.silent:
            _Loop(engine, wanted, tell).run(drafts)
        return drafts


def _draft(branch: Branch, position: int) -> Completion:
    return Completion(branch, position, codecs.getincrementaldecoder("utf-8")("replace"))


@dataclass(slots=True)
class _Loop:
    engine: Engine
    wanted: Wanted
    tell: Callable[[Token], None] | None
    sampler: Sampler = field(default_factory=Sampler)

    def run(self, drafts: Sequence[Completion]) -> None:
        sampling, tokenizer = self.wanted.sampling, self.engine.tokenizer
        live = list(drafts)
        while live:
            drawn = self._draw(live)
            for draft, (token, logprob, top) in zip(live, drawn, strict=True):
                if token in tokenizer.eos_ids:
                    draft.finish = "eos"
                    continue
                draft.position += 1
                draft.take(tokenizer.pieces[token], sampling.stop)
                if draft.finish is None and len(draft.tokens) + 1 >= sampling.max_tokens:
                    draft.finish = "length"
                news = draft.news(sampling.stop)
                told = Token(drafts.index(draft), news, token, logprob, top)
                draft.tokens.append(told)
                if self.tell:
                    self.tell(told)
            live = [draft for draft in live if draft.finish is None]

    def _draw(self, live: Sequence[Completion]) -> list[tuple[int, float, Ranked]]:
        """A token for every completion, fed; its log-probability, and the alternatives wanted."""
        branches = [draft.branch for draft in live]
        wanted = self.wanted
        tops: list[Ranked] = [()] * len(live)
        if not wanted.bent:
            if wanted.top_logprobs:
                tops = ranked(self.engine.logits(branches), wanted.top_logprobs)
            one = replace(wanted.sampling, max_tokens=1, stop=())
            steps = self.engine.extend(branches, one)
            eos = min(self.engine.tokenizer.eos_ids, default=-1)
            return [
                (step.token_ids[0], step.logprobs[0], top) if step.token_ids else (eos, 0.0, ())
                for step, top in zip(steps, tops, strict=True)
            ]
        logits = self._bend(self.engine.logits(branches).copy(), live)
        if wanted.top_logprobs:
            tops = ranked(logits, wanted.top_logprobs)
        ids, places = [b.id for b in branches], [draft.position for draft in live]
        tokens, logprobs = self.sampler.draw(logits, wanted.sampling, ids, places)
        drawn = list(zip(tokens.tolist(), logprobs.tolist(), tops, strict=True))
        eos_ids = self.engine.tokenizer.eos_ids
        fed = [(b, [t]) for b, (t, _, _) in zip(branches, drawn, strict=True) if t not in eos_ids]
        if fed:
            self.engine.feed([b for b, _ in fed], [t for _, t in fed], work="decode")
        return drawn

    def _bend(self, logits: Logits, live: Sequence[Completion]) -> Logits:
        """OpenAI's bias and penalties, in place."""
        for token, bias in self.wanted.bias.items():
            logits[:, token] += bias
        for row, draft in enumerate(live):
            seen, counts = np.unique([t.id for t in draft.tokens], return_counts=True)
            if len(seen):
                ids = seen.astype(np.int64)
                logits[row, ids] -= self.wanted.presence_penalty
                logits[row, ids] -= self.wanted.frequency_penalty * counts
        return logits
