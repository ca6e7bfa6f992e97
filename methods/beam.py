"""Beam search over steps with a process reward model (Snell et al. 2024; search-and-learn)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from methods.candidate import Answer, Candidate
from methods.problem import Problem
from methods.tree import GrowingTree, TreeSearch


@dataclass(frozen=True, slots=True)
class Beam(TreeSearch):
    """`width` paths grow side by side, of which the best `width / beam_width` go on.

    Those are duplicated up to `width` again, whatever has ended, until `width` paths have; the best
    `width` of them are the candidates.
    """

    beam_width: int = 4

    def solve(self, problem: Problem, seed: int) -> Answer:
        tree, leaves = GrowingTree(self, seed), list[Candidate]()
        with tree.open(problem) as frontier:
            shares = [self.width]
            while frontier and len(leaves) < self.width and not tree.over:
                ended, frontier = tree.parted(tree.grow(frontier, shares, self.width))
                leaves += ended
                values = [tree.value(c) for c in frontier]
                shares = duplicated(values, self.width // self.beam_width, self.width)
            if len(leaves) < self.width:
                leaves += frontier
            best = top([tree.value(c) for c in leaves], self.width)
            return tree.answer([leaves[n] for n in sorted(best)])


def duplicated(values: Sequence[float], kept: int, width: int) -> list[int]:
    """Children of each candidate: the best `kept`, one at least, share `width` evenly."""
    best = sorted(top(values, max(1, kept)))
    shares = dict(zip(best, spread(width, len(best)), strict=True)) if best else {}
    return [shares.get(n, 0) for n in range(len(values))]


def spread(width: int, candidates: int) -> list[int]:
    """`width` children over candidates as evenly as can be, the first ones first."""
    each, more = divmod(width, candidates)
    return [each + (n < more) for n in range(candidates)]


def top(values: Sequence[float], kept: int) -> list[int]:
    """Positions of the highest values, the highest first; of equals the earlier ones."""
    return sorted(range(len(values)), key=lambda n: -values[n])[:kept]
