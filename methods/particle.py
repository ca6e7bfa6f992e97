"""Particle filtering (Puri, Sudalairaj, Xu, Xu, Srivastava 2025, arXiv 2502.01618)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from methods.candidate import Answer, Candidate
from methods.problem import Problem
from methods.tree import GrowingTree, TreeSearch

CLIP = 1e-7  # of scores, whose logit must be finite


@dataclass(frozen=True, slots=True)
class ParticleFilter(TreeSearch):
    """`width` paths grow side by side and are drawn anew after every step, in proportion to odds.

    Paths that have ended stay among those drawn from. At the end there are `width` candidates;
    one that was drawn twice counts twice.
    """

    def solve(self, problem: Problem, seed: int) -> Answer:
        tree = GrowingTree(self, seed)
        with tree.open(problem) as frontier:
            pool = tree.grow(frontier, [self.width], self.width)
            while not all(map(tree.ended, pool)) and not tree.over:
                start = float(np.random.default_rng((seed, len(tree.stages))).random())
                draws = resample([c.score for c in pool], self.width, start)
                drawn = list(zip(pool, draws, strict=True))
                alive = [(c, n) for c, n in drawn if not tree.ended(c)]
                ended = [c for c, n in drawn if tree.ended(c) for _ in range(n)]
                tree.drop(missing(pool, [*ended, *(c for c, _ in alive)]))
                pool = ended
                if going := sum(n for _, n in alive):
                    pool += tree.grow([c for c, _ in alive], [n for _, n in alive], going)
            return tree.answer(pool)


def missing(pool: Sequence[Candidate], kept: Sequence[Candidate]) -> list[Candidate]:
    """Candidates of a pool of which no copy was kept, each once."""
    ids = {c.branch.id for c in kept}
    return list({c.branch.id: c for c in pool if c.branch.id not in ids}.values())


def resample(scores: Sequence[float], width: int, start: float) -> list[int]:
    """How often each candidate is drawn: systematic resampling by softmax(logit(score)).

    One random `start` in [0, 1) sets `width` equally spaced marks on the line of cumulated weights,
    so that each count is its expected value rounded down or up.
    """
    clipped = np.clip(np.asarray(scores, np.float64), CLIP, 1 - CLIP)
    odds = clipped / (1 - clipped)  # exp of the logit
    line = np.cumsum(odds / odds.sum())
    line[-1] = 1.0
    marks = (start + np.arange(width)) / width
    found = np.searchsorted(line, marks, side="right")
    counts: list[int] = np.bincount(found, minlength=len(line)).tolist()
    return counts
