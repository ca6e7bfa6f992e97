"""REBASE: reward-balanced tree search (Wu, Sun, Li, Welleck, Yang 2024, section 3.1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from methods.allocate import allocate
from methods.candidate import Answer, Candidate
from methods.catalog import Allocation
from methods.problem import Problem
from methods.tree import GrowingTree, TreeSearch


@dataclass(frozen=True, slots=True)
class Rebase(TreeSearch):
    """A tree of steps in which good candidates get more children.

    Every stage samples one step for each child in one batch and scores it. The budget starts at
    `width` and shrinks by every path that ends; candidates that get no children are pruned.
    """

    balance: float = 0.1  # T_b of the paper's appendix C
    allocation: Allocation = "ceil"

    def solve(self, problem: Problem, seed: int) -> Answer:
        tree, leaves = GrowingTree(self, seed), list[Candidate]()
        with tree.open(problem) as frontier:
            # allocations other than `ceil` may hand out more than the budget, and so overspend it
            while frontier and len(leaves) < self.width and not tree.over:
                budget = self.width - len(leaves)
                shares = self.shares(frontier, budget)
                ended, frontier = tree.parted(tree.grow(frontier, shares, budget))
                leaves += ended
            return tree.answer(leaves + frontier)

    def shares(self, frontier: Sequence[Candidate], budget: int) -> list[int]:
        """Children of each candidate; a search that shares out by another rule has its own."""
        return self.allotted([c.score for c in frontier], budget)

    def allotted(self, scores: Sequence[float], budget: int) -> list[int]:
        """`budget` children in proportion to exp(score / balance)."""
        return allocate(scores, budget, self.balance, self.allocation)
