"""The block that reasoning models think in, `<think>...</think>`, and how long it may get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from methods.candidate import Candidate
from runtime.engine import Branch, Engine, Sampling, Step

OPEN, CLOSE = "<think>", "</think>"
CLOSING = f"\n{CLOSE}\n\n"
TAIL = 8  # tokens of a prompt that may open the block


@dataclass(frozen=True, slots=True)
class ThinkBlock:
    """The block of one prompt's paths. Without a `budget` it is as long as the model makes it."""

    engine: Engine
    opened: bool = False  # by the prompt
    budget: int | None = None  # tokens of a path after which the block is closed

    def holds(self, text: str) -> bool:
        """Whether a path ends inside the block."""
        return (self.opened or OPEN in text) and CLOSE not in text

    def extend(self, branches: Sequence[Branch], sampling: Sampling) -> list[Step]:
        """Whole paths as the engine grows them, their block closed where the budget ends."""
        if self.budget is None or self.budget >= sampling.max_tokens:
            return self.engine.extend(branches, sampling)
        steps = self.engine.extend(branches, replace(sampling, max_tokens=self.budget))
        going = [
            n
            for n, step in enumerate(steps)
            if step.finish == "length" and len(step.token_ids) == self.budget
        ]
        closed = self._close(
            [branches[n] for n in going], [steps[n] for n in going], [""] * len(going)
        )
        rest = replace(sampling, max_tokens=sampling.max_tokens - self.budget)
        more = self.engine.extend([branches[n] for n in going], rest) if going else []
        for n, before, after in zip(going, closed, more, strict=True):
            steps[n] = _joined(before, after)
        return steps

    def closed(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[Step]:
        """The new steps of paths, the block closed in those that have spent the budget."""
        found = list(steps)
        if self.budget is None:
            return found
        spent = [
            n
            for n, (c, step) in enumerate(zip(candidates, steps, strict=True))
            if step.finish != "eos" and c.tokens + len(step.token_ids) >= self.budget
        ]
        branches = [candidates[n].branch for n in spent]
        texts = [candidates[n].text for n in spent]
        for n, step in zip(
            spent, self._close(branches, [steps[n] for n in spent], texts), strict=True
        ):
            found[n] = step
        return found

    def _close(
        self, branches: Sequence[Branch], steps: Sequence[Step], texts: Sequence[str]
    ) -> list[Step]:
        """Steps after these texts, with the end of the block read into those that are inside."""
        found = list(steps)
        ids = tuple(self.engine.tokenizer.encode_more(CLOSING))
        inside = [
            n
            for n, step in enumerate(steps)
            if self.holds(texts[n] + step.text) and has_room(self.engine, branches[n], ids)
        ]
        if inside:
            self.engine.feed([branches[n] for n in inside], [ids] * len(inside))
            for n in inside:
                zeros, held = (0.0,) * len(ids), steps[n].readings[-1:] * len(ids)
                doubts = zeros if steps[n].entropies else ()
                end = Step(CLOSING, ids, zeros, steps[n].finish, doubts, held, steps[n].state)
                found[n] = _joined(steps[n], end)
        return found


def think_block(engine: Engine, prompt: Sequence[int], budget: int | None) -> ThinkBlock:
    """The block of the paths that follow a prompt."""
    ending = engine.tokenizer.decode(prompt[-TAIL:]).rstrip()
    return ThinkBlock(engine, ending.endswith(OPEN), budget)


def has_room(engine: Engine, branch: Branch, tokens: Sequence[int]) -> bool:
    """Whether a path can read these and go on: it may be as long as the KV cache."""
    return engine.length(branch) + len(tokens) < engine.context


def _joined(one: Step, other: Step) -> Step:
    return Step(
        one.text + other.text,
        one.token_ids + other.token_ids,
        one.logprobs + other.logprobs,
        other.finish,
        one.entropies + other.entropies,
        one.readings + other.readings,
        other.state,
    )
