"""REBASE as the code of arXiv 2412.16260 does it, its faults kept.

Any digit in the last three sentences of question and completion makes a leaf, so that nearly every
tree is one step of 96 tokens. The reward model reads the whole text with one tag at its end. Nodes
scored 0.1 or less are dropped, the best leaf wins without a vote, and its last integer is the
answer. The words "Let's think step by step" are in the first prompt only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from convert.refusal import Refusal
from methods.allocate import allocate
from methods.answers.reader import Extraction
from methods.build import MethodSpec, Watch
from methods.candidate import Answer, Candidate, Stage
from methods.catalog import Allocation, Selection
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer, Scorer
from methods.trial import Trial
from runtime.engine import Branch, Engine, Sampling, Step

ROOT = Branch(-1)  # never opened: every prompt is read anew
MAX_DEPTH = 25
KEPT_ABOVE = 0.1  # a score
FIRST_CUE = "\nA: Let's think step by step."


@dataclass(frozen=True, slots=True)
class PaperRebase:
    """A tree of steps that hardly ever grows past its first stage."""

    engine: Engine
    scorer: ProcessRewardScorer
    width: int
    sampling: Sampling  # of one step
    max_tokens: int  # of one path
    balance: float
    allocation: Allocation
    selection: Selection
    watch: Watch = lambda _: None

    @classmethod
    def build(
        cls, spec: MethodSpec, engine: Engine, scorer: Scorer | None, watch: Watch
    ) -> PaperRebase:
        """See `methods.build.Builder`."""
        if not isinstance(scorer, ProcessRewardScorer):
            raise Refusal(
                "the paper's protocol scores with a reward model alone; give --reward MODEL"
            )
        return cls(
            engine,
            scorer,
            spec.width,
            Sampling(spec.temperature, max_tokens=spec.step_tokens),
            spec.max_tokens,
            spec.balance,
            spec.allocation,
            spec.selection,
            watch,
        )

    def solve(self, problem: Problem, seed: int) -> Answer:
        trial = Trial(self.engine, self.scorer)
        stages: list[Stage] = []
        leaves: list[Candidate] = []
        frontier = [Candidate(ROOT)]
        budget, dropped, booked = self.width, 0, 0
        while budget > 0 and frontier and len(stages) < MAX_DEPTH:
            shares = allocate([n.score for n in frontier], budget, self.balance, self.allocation)
            dropped += shares.count(0)
            grown = self._grow(trial, problem.question, frontier, shares, seed)
            stages.append(Stage(budget, tuple(shares), tuple(grown)))
            self.watch(stages[-1])
            booked += len(grown) * len(stages) * self.sampling.max_tokens
            kept = [node for node in grown if node.score > KEPT_ABOVE]
            dropped += len(grown) - len(kept)
            done = [node for node in kept if node.finished]
            cut = [node for node in kept if not node.finished and node.tokens >= self.max_tokens]
            leaves += done
            budget -= len(done) + len(cut)
            frontier = [node for node in kept if node not in done and node not in cut]
        return trial.answer(leaves, self.selection, "last", stages, dropped, booked)

    def _grow(
        self,
        trial: Trial,
        question: str,
        frontier: Sequence[Candidate],
        shares: Sequence[int],
        seed: int,
    ) -> list[Candidate]:
        """The scored children of one stage; every node's text is a prompt of its own."""
        children: list[Candidate] = []
        for node, share in zip(frontier, shares, strict=True):
            if share:
                children += self._children(trial, question, node, share, seed)
        scores = self.scorer.score_texts(question, [child.text for child in children])
        return [
            replace(child, scores=(*child.scores, score))
            for child, score in zip(children, scores, strict=True)
        ]

    def _children(
        self, trial: Trial, question: str, node: Candidate, count: int, seed: int
    ) -> list[Candidate]:
        depth = len(node.steps)
        prompt = question + node.text + (f"\nStep {depth + 1}:" if depth else FIRST_CUE)
        stop = f"Step {depth + 2}"
        with self.engine.open(self.engine.tokenizer.encode(prompt)) as root:
            trial.first_token()
            branches = self.engine.fork(root, count)
            steps = self.engine.extend(branches, replace(self.sampling, seed=seed, stop=(stop,)))
        return [
            _child(question, replace(node, branch=branch), step, stop)
            for branch, step in zip(branches, steps, strict=True)
        ]


def _child(question: str, node: Candidate, step: Step, stop: str) -> Candidate:
    """A node grown by a step, not yet scored."""
    steps = (*node.steps, replace(step, text=step.text.removesuffix(stop)))
    text = question + "".join(s.text for s in steps)
    return replace(node, steps=steps, finished=looks_complete(text), read_as=last_integer(text))


def looks_complete(text: str) -> bool:
    """Whether any of the last three sentences holds a digit."""
    return any(re.search(r"\d", sentence) for sentence in _sentences(text)[-3:])


def last_integer(text: str) -> Extraction:
    """The digits after `####`, else the last integer of the last sentence that has one."""
    if marked := re.search(r"####\s*(-?\d+)", text):
        return Extraction(marked[1], "marker")
    for sentence in reversed(_sentences(text)):
        if found := re.findall(r"\d+", sentence):
            return Extraction(found[-1], "last-number")
    return Extraction(None, "none")


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"[.!?]", text) if part.strip()]
