"""Scoring steps with a process reward model, each new step at the cost of its own tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import numpy as np
import numpy.typing as npt

from convert.artifact import Aggregation, RewardProtocol, Shape
from methods.candidate import Candidate
from methods.pairing import check_reward, check_tokens
from methods.problem import Problem
from methods.reward_text import RewardText
from runtime.engine import Branch, Engine, Output, Step, Usage


class Scorer(Protocol):
    """Turns steps into scores in [0, 1]."""

    @property
    def seconds(self) -> float:
        """Spent so far."""
        ...

    @property
    def shape(self) -> Shape:
        """Of the model that scores."""
        ...

    @property
    def usage(self) -> Usage: ...

    @property
    def aggregation(self) -> Aggregation:
        """How the scores of a path become one, where nobody asks for another way."""
        ...

    def open(self, problem: Problem, root: Branch) -> AbstractContextManager[None]:
        """Read the question; leaving the context forgets the whole tree."""
        ...

    def score(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[float]:
        """The score of the step that each candidate is about to grow by."""
        ...

    def holds(self, branch: Branch) -> bool:
        """Whether all of a branch's path could be read; of one that is longer the score stands."""
        ...

    def release(self, branches: Sequence[Branch]) -> None:
        """Forget policy branches that nothing will grow from but children that they have now."""
        ...


class ProcessRewardScorer:
    """A reward model on its own engine, with a reward branch for every policy branch.

    A policy branch that forked has its reward branch forked, so a prefix is never read twice. A
    step is read with the step tag at its end; the score stands at the tag's last token. A path that
    is longer than the KV cache is read no further, and keeps its score.

    Raises:
        Refusal: if the engine's model is no reward model.
    """

    def __init__(self, engine: Engine, policy_stop: str) -> None:
        check_reward(engine.artifact)
        check_tokens(engine)
        protocol = engine.artifact.reward
        assert protocol is not None
        self.engine = engine
        self.seconds = 0.0
        self._protocol = protocol
        self._text = RewardText.of(engine.tokenizer, protocol, policy_stop)
        self._read = score_reader(engine, protocol)
        self._branches: dict[int, Branch] = {}  # policy branch id -> reward branch
        self._leaving: set[int] = set()  # policy branches that new children may still grow from
        self._longer: set[int] = set()  # policy branches than the KV cache

    @property
    def shape(self) -> Shape:
        return self.engine.artifact.shape

    @property
    def usage(self) -> Usage:
        return self.engine.usage

    @property
    def aggregation(self) -> Aggregation:
        return self._protocol.aggregation

    @contextmanager
    def open(self, problem: Problem, root: Branch) -> Iterator[None]:
        started = time.perf_counter()
        with self.engine.open(self._text.question(problem.question)) as branch:
            self._branches, self._leaving, self._longer = {root.id: branch}, set(), set()
            self.seconds += time.perf_counter() - started
            try:
                yield
            finally:
                self._branches = {}

    def score(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[float]:
        started = time.perf_counter()
        branches = self._branches_of([candidate.branch for candidate in candidates])
        scores = [candidate.score for candidate in candidates]  # an empty step changes nothing
        tokens = [self._text.step(c.steps, s) for c, s in zip(candidates, steps, strict=True)]
        for candidate, branch, ids in zip(candidates, branches, tokens, strict=True):
            if self.engine.length(branch) + len(ids) > self.engine.context:
                self._longer.add(candidate.branch.id)
        new = [i for i, ids in enumerate(tokens) if ids and self.holds(candidates[i].branch)]
        if new:
            fed = [branches[i] for i in new]
            found = self._score_fed(fed, [tokens[i] for i in new])
            for i, branch, score in zip(new, fed, found, strict=True):
                scores[i] = float(score)
                if steps[i].finish == "length":  # the step goes on: its tag was only for the score
                    self.engine.rewind(branch, self.engine.length(branch) - len(self._text.tag))
        self.seconds += time.perf_counter() - started
        return scores

    def holds(self, branch: Branch) -> bool:
        return branch.id not in self._longer

    def score_texts(self, question: str, texts: Sequence[str]) -> list[float]:
        """Scores of whole texts with a tag put at each end: the mean over all tags inside."""
        if not texts:
            return []
        started = time.perf_counter()
        parts = [self._tagged(text + self._protocol.step_tag) for text in texts]
        found: list[list[float]] = [[] for _ in texts]
        with self.engine.open(self.engine.tokenizer.encode(question)) as root:
            branches = self.engine.fork(root, len(texts))
            for depth in range(max(map(len, parts))):
                rows = [i for i, cuts in enumerate(parts) if depth < len(cuts)]
                fed, tokens = [branches[i] for i in rows], [parts[i][depth] for i in rows]
                for i, score in zip(rows, self._score_fed(fed, tokens), strict=True):
                    found[i].append(float(score))
        self.seconds += time.perf_counter() - started
        return [sum(scores) / len(scores) for scores in found]

    def release(self, branches: Sequence[Branch]) -> None:
        self._leaving |= {branch.id for branch in branches} & self._branches.keys()

    def _score_fed(
        self, branches: Sequence[Branch], tokens: Sequence[Sequence[int]]
    ) -> Sequence[float]:
        """Scores at the last tokens, once they are read."""
        hidden = not self._protocol.reads_logits
        return self._read(self.engine.feed(branches, tokens, hidden=hidden))

    def _tagged(self, text: str) -> list[list[int]]:
        """The ids of a text in parts that end with a step tag."""
        tokenizer = self.engine.tokenizer
        parts: list[list[int]] = [[]]
        tag = tokenizer.encode_more(self._protocol.step_tag)[-1]
        for token in tokenizer.encode_more(text):
            parts[-1].append(token)
            if token == tag:
                parts.append([])
        return [part for part in parts if part]

    def _branches_of(self, policy: Sequence[Branch]) -> list[Branch]:
        """The reward branch of every policy branch, forked from its parent's where it is new."""
        new: dict[int, list[Branch]] = {}
        for branch in policy:
            if branch.id not in self._branches:
                assert branch.parent is not None
                new.setdefault(branch.parent, []).append(branch)
        self._leave(self._leaving - new.keys())
        for parent, children in new.items():
            forks = self.engine.fork(self._branches[parent], len(children))
            self._branches |= {c.id: fork for c, fork in zip(children, forks, strict=True)}
            self._leave(self._leaving & {parent})
        return [self._branches[branch.id] for branch in policy]

    def _leave(self, ids: Collection[int]) -> None:
        self.engine.release([self._branches.pop(i) for i in ids])
        self._leaving.difference_update(ids)


def score_reader(engine: Engine, protocol: RewardProtocol) -> Callable[[Output], Sequence[float]]:
    """How scores come out of an engine's rows."""
    if protocol.reads_logits:
        ids = np.array([protocol.good_id, protocol.bad_id])
        return lambda output: _softmax(output.logits[:, ids])[:, 0].tolist()
    from convert.heads import read_heads

    head = read_heads(engine.artifact)

    def read(output: Output) -> Sequence[float]:
        assert output.hidden is not None
        values = head(output.hidden)  # (B, outputs)
        if protocol.kind == "value":
            return list((1 / (1 + np.exp(-values[:, 0].astype(np.float64)))).tolist())
        return list(_softmax(values)[:, protocol.positive_index].tolist())

    return read


def _softmax(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    weights = np.exp(rows.astype(np.float64) - rows.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
