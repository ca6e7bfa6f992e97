"""One attempt at one problem: what it started from, and what it cost in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from convert.artifact import Aggregation
from methods.answers.reader import NUMBERS, STOPS, Reader
from methods.answers.tasks import ANSWER_TOKENS, WANTED
from methods.budget import Budget
from methods.candidate import Answer, Candidate, Stage
from methods.catalog import Selection
from methods.problem import Problem
from methods.scorers import Scorer
from methods.selection import select
from methods.think_block import CLOSING, ThinkBlock, has_room, think_block
from runtime.engine import Branch, Engine, Sampling, Step, Usage
from runtime.flops import flops
from runtime.prompt import is_chat, prompt_format, prompt_tokens


class Trial:
    """Opens a problem on the policy and on the reward model, and books the work from then on."""

    def __init__(
        self,
        engine: Engine,
        scorer: Scorer | None,
        think_budget: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._engine, self._scorer, self._budget = engine, scorer, budget
        self._started = time.perf_counter()
        self._usage = engine.usage
        self._scorer_usage = scorer.usage if scorer else Usage()
        self._scorer_s = scorer.seconds if scorer else 0.0
        self._ttft_s = 0.0
        self.reader = NUMBERS
        self.block = ThinkBlock(engine, budget=think_budget)

    @property
    def stops(self) -> tuple[str, ...]:
        """Where a model begins to ask itself; a chat does not, and may restate the question."""
        return () if is_chat(self._engine) else STOPS

    @contextmanager
    def open(self, problem: Problem, prompt: Sequence[int] = ()) -> Iterator[Branch]:
        """The root branch, after a prompt, or the model's own; the reward model reads too."""
        marker = prompt_format(self._engine).answer_marker
        self.reader = Reader(problem.task, marker, chat=is_chat(self._engine))
        tokens = prompt or problem.prompt
        tokens = tokens or prompt_tokens(self._engine, problem.question, WANTED[problem.task])
        self.block = think_block(self._engine, tokens, self.block.budget)
        with self._engine.open(tokens) as root:
            self.first_token()
            if self._scorer is None:
                yield root
            else:
                with self._scorer.open(problem, root):
                    yield root

    def first_token(self) -> None:
        """The logits of the first token are there; only the first call counts."""
        self._ttft_s = self._ttft_s or time.perf_counter() - self._started

    @property
    def spent(self) -> float:
        """What was spent of the budget so far, in its unit; 0 without one."""
        if self._budget is None:
            return 0.0
        if self._budget.unit == "s":
            return time.perf_counter() - self._started
        work = [(self._engine.usage - self._usage, self._engine.artifact.shape)]
        if self._scorer is not None:
            work.append((self._scorer.usage - self._scorer_usage, self._scorer.shape))
        if self._budget.unit == "tok":
            return float(sum(usage.tokens for usage, _ in work))
        return sum(flops(usage, shape) for usage, shape in work) / 1e12

    @property
    def spent_all(self) -> bool:
        """Whether nothing is left of the budget."""
        return self._budget is not None and self.spent >= self._budget.amount

    def affords(self, paths: int) -> int | None:
        """How many paths the rest of the budget pays for, at what these took; None without one."""
        if self._budget is None:
            return None
        spent = self.spent
        return (
            int((self._budget.amount - spent) * paths / spent) if spent < self._budget.amount else 0
        )

    def elicit(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates that a limit cut off, asked for their answer: the marker, then greedy tokens.

        They stay unfinished, and keep their scores.
        """
        marker = f" {prompt_format(self._engine).answer_marker.rstrip(':')}:"
        longest = self._engine.tokenizer.encode_more(CLOSING + marker)
        cut = [
            c for c in candidates if not c.finished and has_room(self._engine, c.branch, longest)
        ]
        if not cut:
            return list(candidates)
        asked = [CLOSING + marker if self.block.holds(c.text) else marker for c in cut]
        branches = [c.branch for c in cut]
        self._engine.feed(branches, [self._engine.tokenizer.encode_more(text) for text in asked])
        greedy = Sampling(temperature=0, max_tokens=ANSWER_TOKENS[self.reader.task], stop=("\n",))
        steps = self._engine.extend(branches, greedy)
        found = zip(cut, asked, steps, strict=True)
        answered = {c.branch: c.elicited(text, step) for c, text, step in found}
        return [c if c.finished else answered.get(c.branch, c) for c in candidates]

    def answer(
        self,
        candidates: Sequence[Candidate],
        selection: Selection,
        aggregation: Aggregation,
        stages: Sequence[Stage] = (),
        dropped: int = 0,
        booked_tokens: int | None = None,
    ) -> Answer:
        """Choose, and close the books."""
        scorer = self._scorer
        return Answer(
            text=select(candidates, selection, aggregation),
            selection=selection,
            candidates=tuple(candidates),
            usage=self._engine.usage - self._usage,
            scorer_usage=(scorer.usage - self._scorer_usage) if scorer else Usage(),
            latency_s=time.perf_counter() - self._started,
            scorer_s=(scorer.seconds - self._scorer_s) if scorer else 0.0,
            ttft_s=self._ttft_s,
            stages=tuple(stages),
            dropped=dropped,
            booked_tokens=booked_tokens,
            aggregation=aggregation,
            budget=self._budget,
            spent=self.spent,
        )


def split_steps(completion: Step, stop: str, pieces: Sequence[bytes]) -> list[Step]:
    """A whole completion as its steps, cut after each token that completes `stop`."""
    steps: list[Step] = []
    begin, text, mark = 0, b"", stop.encode()
    for end, token in enumerate(completion.token_ids, 1):
        text += pieces[token]
        last = end == len(completion.token_ids)
        if mark in text or (last and text.strip()):
            steps.append(
                Step(
                    text.decode("utf-8", "replace"),
                    completion.token_ids[begin:end],
                    completion.logprobs[begin:end],
                    "stop" if mark in text else completion.finish,
                    completion.entropies[begin:end],
                    completion.readings[begin:end],
                )
            )
            begin, text = end, b""
    return steps
