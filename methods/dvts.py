"""Diverse verifier tree search (Beeching, Tunstall, Rush 2024; search-and-learn)."""

from __future__ import annotations

from dataclasses import dataclass

from methods.beam import spread
from methods.candidate import Answer, Candidate
from methods.problem import Problem
from methods.tree import GrowingTree, TreeSearch


@dataclass(frozen=True, slots=True)
class Dvts(TreeSearch):
    """`width / beam_width` subtrees, each a beam of one: diverse, since none can push out another.

    Every stage samples `beam_width` steps behind the one candidate of a subtree, and the best goes
    on. Where that has ended, all of the subtree's last steps are candidates.
    """

    beam_width: int = 4

    def solve(self, problem: Problem, seed: int) -> Answer:
        tree, leaves = GrowingTree(self, seed), list[Candidate]()
        sizes = spread(self.width, max(1, self.width // self.beam_width))
        with tree.open(problem) as frontier:
            shares = [self.width]
            while frontier and not tree.over:
                grown = tree.grow(frontier, shares, sum(sizes))
                frontier, shares, going = [], [], []
                for size in sizes:
                    siblings, grown = grown[:size], grown[size:]
                    best = max(siblings, key=tree.value)
                    if tree.ended(best):
                        leaves += siblings
                    else:
                        frontier += siblings
                        shares += [size if c is best else 0 for c in siblings]
                        going.append(size)
                sizes = going
            return tree.answer(leaves + frontier)
