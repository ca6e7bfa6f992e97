"""Quiet-STaR around any engine: a hidden thought before each token (Zelikman et al. 2024).

A thought after text token x_p is START, `n_ahead - 3` sampled tokens and END. The talk head weighs
the hidden states of x_p and of END; since the output projection is linear, mixing hidden states is
mixing logits: (1 - w) * base + w * thought. The thought's keys and values are then dropped.
START enters with x_p and END with the last sampled token, so that a thought takes `n_ahead - 2`
calls, whatever the number of branches. Both are known beforehand: the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import numpy as np

from convert.refusal import Refusal
from runtime.engine import (
    Branch,
    ContextFull,
    Engine,
    Hidden,
    Logits,
    Output,
    Sampling,
    Step,
    Usage,
    Work,
)
from runtime.extend import extend
from runtime.gate import Gate
from runtime.sampling import Sampler

TalkHead = Callable[[Hidden], Hidden]  # (B, 2 D), base state first, to (B, 1)

MIN_AHEAD = 4  # START, one sampled token, END
THOUGHT_STREAM = 0x5851F42D4C957F2D  # sets the random numbers of thoughts apart from the text's


class ThinkingEngine:
    """An engine whose logits come after a thought; nothing of it stays in a branch.

    Forks share the thought of the token they fork at, so that each path is distributed as in
    Quiet-STaR while their first tokens share one weight. With a gate only tokens whose base
    distribution is unsure are thought about: START then waits for that decision, which costs one
    call more for those and saves a token for all others.
    """

    def __init__(
        self,
        engine: Engine,
        head: TalkHead,
        *,
        gate: Gate | None = None,
        temperature: float = 1.0,
    ) -> None:
        thought, path = engine.artifact.thought, engine.artifact.path
        if thought is None:
            raise Refusal(f"{path} is no Quiet-STaR model: it has no thought tokens")
        if thought.n_ahead < MIN_AHEAD:
            raise Refusal(f"{path}: n_ahead is {thought.n_ahead}, at least {MIN_AHEAD} needed")
        for token in (thought.start_id, thought.end_id):
            if not 0 <= token < engine.tokenizer.size:
                size = engine.tokenizer.size
                raise Refusal(f"{path}: thought token {token} is not in the {size} of its model")
        self.artifact, self.tokenizer = engine.artifact, engine.tokenizer
        self.device, self.context = engine.device, engine.context
        self.max_branches, self.on_card = engine.max_branches, engine.on_card
        self.weight_bits, self.kv_value_bytes = engine.weight_bits, engine.kv_value_bytes
        self.probe = engine.probe
        self.inner, self._head, self._gate = engine, head, gate
        self._thought, self._hidden_ids = thought, [thought.start_id, thought.end_id]
        self._temperature = temperature
        self._sampler = Sampler()
        self.weights: Hidden = np.zeros((0, 1), np.float32)  # (thoughts, 1) w of the last feed
        self._rows: dict[int, Logits] = {}  # branch id -> (V,) mixed logits
        self._open = 0  # trees
        self._seed = 0
        self._usage = Usage()  # what the engine inside cannot know

    def over(self, engine: Engine) -> ThinkingEngine:
        """The same thinking over another engine of the same model, with books of its own."""
        made = ThinkingEngine(engine, self._head, gate=self._gate, temperature=self._temperature)
        made.artifact = self.artifact  # it may be asked in a format of its own
        return made

    @property
    def usage(self) -> Usage:
        return self.inner.usage + self._usage

    @property
    def kv_bytes(self) -> int:
        return self.inner.kv_bytes

    @contextmanager
    def open(self, tokens: Sequence[int]) -> Iterator[Branch]:
        self._seed = 0  # thoughts depend on the question alone, not on what was run before
        with self.inner.open(tokens[:-1]) as root:
            self._open += 1
            try:
                self.feed([root], [tokens[-1:]])
                yield root
            finally:
                self._open -= 1
                if not self._open:
                    self._rows.clear()

    def fork(self, branch: Branch, n: int) -> list[Branch]:
        children = self.inner.fork(branch, n)
        if branch.id in self._rows:
            self._rows |= dict.fromkeys((child.id for child in children), self._rows[branch.id])
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
        """Append tokens and think once, after each branch's last one."""
        if tail != 1:
            raise ValueError("a thought belongs to the last token: tail must be 1")
        before = [self.inner.length(branch) for branch in branches]
        try:
            mixed = self._feed(branches, tokens, work)
        except ContextFull:
            for branch, length in zip(branches, before, strict=True):
                self.inner.rewind(branch, length)
            raise
        self._rows |= {b.id: row for b, row in zip(branches, mixed.logits, strict=True)}
        return mixed if hidden else Output(mixed.logits, None, mixed.readings)

    def rewind(self, branch: Branch, length: int) -> None:
        if length < self.inner.length(branch):
            self._rows.pop(branch.id, None)
        self.inner.rewind(branch, length)

    def release(self, branches: Sequence[Branch]) -> None:
        for branch in branches:
            self._rows.pop(branch.id, None)
        self.inner.release(branches)

    def length(self, branch: Branch) -> int:
        return self.inner.length(branch)

    def logits(self, branches: Sequence[Branch]) -> Logits:
        for branch in branches:
            if branch.id not in self._rows:
                raise ValueError(f"branch {branch.id} holds no logits; feed it a token first")
        return np.stack([self._rows[branch.id] for branch in branches])

    def extend(self, branches: Sequence[Branch], sampling: Sampling) -> list[Step]:
        self._seed = sampling.seed
        steps, seconds = extend(self, self._sampler, branches, sampling)
        self._usage += Usage(sampling_s=seconds)
        return steps

    def close(self) -> None:
        self.inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _feed(
        self, branches: Sequence[Branch], tokens: Sequence[Sequence[int]], work: Work
    ) -> Output:
        """Text, then thoughts where they are wanted; the mixed rows."""
        if self._gate is None:
            rows = self._feed_with_start(branches, tokens, work)
            mixed, first = self._own(rows, slice(0, None, 2)), rows.logits[1::2]
            self._think(branches, mixed, list(range(len(branches))), first)
            return mixed
        mixed = self._own(self.inner.feed(branches, tokens, hidden=True, work=work), slice(None))
        unsure = self._gate(mixed.logits)
        self._usage += Usage(skipped_thoughts=len(branches) - len(unsure))
        if unsure:
            start = [[self._thought.start_id]] * len(unsure)
            thinking = [branches[i] for i in unsure]
            rows = self.inner.feed(thinking, start, hidden=True, work="thought")
            self._think(thinking, mixed, unsure, rows.logits)
        return mixed

    def _feed_with_start(
        self, branches: Sequence[Branch], tokens: Sequence[Sequence[int]], work: Work
    ) -> Output:
        """One call for text and START; rows of the last text token and of START alternate."""
        usage, n = self.inner.usage, len(branches)
        with_start = [[*t, self._thought.start_id] for t in tokens]
        rows = self.inner.feed(branches, with_start, hidden=True, work=work, tail=2)
        spent = self.inner.usage - usage
        share = n / spent.tokens
        seconds = share * getattr(spent, f"{work}_s")
        self._usage += Usage(thought_tokens=n, thought_s=seconds)
        self._usage -= Usage(**{f"{work}_tokens": n, f"{work}_s": seconds})
        return rows

    def _own(self, rows: Output, which: slice) -> Output:
        """Copies of some rows, which survive the calls to come; thought tokens are impossible."""
        if rows.hidden is None:
            raise Refusal(f"{self.artifact.path}: its engine gives no hidden states to think on")
        logits = rows.logits[which].copy()
        logits[:, self._hidden_ids] = -np.inf
        readings = None if rows.readings is None else rows.readings[which]
        return Output(logits, rows.hidden[which].copy(), readings)

    def _think(
        self, branches: Sequence[Branch], base: Output, which: list[int], first: Logits
    ) -> None:
        """Think on in all branches at once, from START's logits on, and mix into rows `which`."""
        lengths = [self.inner.length(branch) - 1 for branch in branches]
        logits = first
        for number in range(self._thought.n_ahead - 4):
            tokens = self._sample(branches, lengths, number, logits)
            fed = [[token] for token in tokens]
            logits = self.inner.feed(branches, fed, hidden=True, work="thought").logits
        last = self._sample(branches, lengths, self._thought.n_ahead - 4, logits)
        ends = [[token, self._thought.end_id] for token in last]
        self._mix(base, which, self.inner.feed(branches, ends, hidden=True, work="thought"))
        for branch, length in zip(branches, lengths, strict=True):
            self.inner.rewind(branch, length)
        self._usage += Usage(thoughts=len(branches))

    def _sample(
        self, branches: Sequence[Branch], lengths: Sequence[int], number: int, logits: Logits
    ) -> list[int]:
        """Thought token `number` of every branch."""
        logits = logits.copy()
        logits[:, self._hidden_ids] = -np.inf
        sampling = Sampling(self._temperature, seed=self._seed ^ THOUGHT_STREAM)
        places = [length * self._thought.n_ahead + number for length in lengths]
        tokens, _ = self._sampler.draw(logits, sampling, [b.id for b in branches], places)
        return list(tokens.tolist())

    def _mix(self, base: Output, which: list[int], thought: Output) -> None:
        """Move rows `which` of logits and hidden states towards the thought's, by the weight w."""
        assert base.hidden is not None
        assert thought.hidden is not None
        states = base.hidden[which]
        self.weights = self._head(np.concatenate([states, thought.hidden], axis=1))
        base.hidden[which] += self.weights * (thought.hidden - states)
        difference = thought.logits - base.logits[which]
        difference[:, self._hidden_ids] = 0
        base.logits[which] += self.weights * difference
