"""DORA: direction-oriented resource allocation (Wang et al. 2025, arXiv 2506.15707)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from methods.allocate import allocate
from methods.candidate import Answer, Candidate
from methods.catalog import Allocation
from methods.problem import Problem
from methods.similarity import cosines, uniqueness
from methods.tree import GrowingTree, TreeSearch


@dataclass(frozen=True, slots=True)
class Dora(TreeSearch):
    """REBASE, with its shares times how unique a candidate is: directions share, not duplicates.

    Candidates that REBASE gives no child are dropped first. The paper embeds paths with a model of
    its own; here the policy's state at the end of a path is its embedding.
    """

    balance: float = 0.1
    allocation: Allocation = "ceil"
    similarity: float = 1.0  # temperature of the softmax over cosines

    def solve(self, problem: Problem, seed: int) -> Answer:
        tree, leaves = GrowingTree(self, seed), list[Candidate]()
        with tree.open(problem) as frontier:
            while frontier and len(leaves) < self.width and not tree.over:
                budget = self.width - len(leaves)
                shares = self._shares(tree, frontier, budget)
                ended, frontier = tree.parted(tree.grow(frontier, shares, budget))
                leaves += ended
            return tree.answer(leaves + frontier)

    def _shares(self, tree: GrowingTree, frontier: Sequence[Candidate], budget: int) -> list[int]:
        scores = [c.score for c in frontier]
        shares = allocate(scores, budget, self.balance, self.allocation)
        kept = [n for n, share in enumerate(shares) if share]
        if len(kept) == 1:
            return shares
        alone = uniqueness(cosines(tree.states([frontier[n] for n in kept])), self.similarity)
        scores = weighed([scores[n] for n in kept], alone, self.balance)
        again = dict(
            zip(kept, allocate(scores, budget, self.balance, self.allocation), strict=True)
        )
        return [again.get(n, 0) for n in range(len(shares))]


def weighed(scores: Sequence[float], weights: Sequence[float], balance: float) -> list[float]:
    """Scores whose exp(score / balance) are those of the given ones times weights."""
    return [s + balance * math.log(w) for s, w in zip(scores, weights, strict=True)]
