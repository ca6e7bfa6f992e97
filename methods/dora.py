"""DORA: direction-oriented resource allocation (Wang et al. 2025, arXiv 2506.15707)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from methods.candidate import Candidate
from methods.rebase import Rebase
from methods.similarity import cosines, ends, uniqueness


@dataclass(frozen=True, slots=True)
class Dora(Rebase):
    """REBASE, with its shares times how unique a candidate is: directions share, not duplicates.

    Candidates that REBASE gives no child are dropped first. The paper embeds paths with a model of
    its own; here the policy's state at the end of a path is its embedding.
    """

    states = True

    similarity: float = 1.0  # temperature of the softmax over cosines

    def shares(self, frontier: Sequence[Candidate], budget: int) -> list[int]:
        scores = [c.score for c in frontier]
        shares = self.allotted(scores, budget)
        kept = [n for n, share in enumerate(shares) if share]
        if len(kept) == 1:
            return shares
        alone = uniqueness(cosines(ends([frontier[n] for n in kept])), self.similarity)
        scores = weighed([scores[n] for n in kept], alone, self.balance)
        again = dict(zip(kept, self.allotted(scores, budget), strict=True))
        return [again.get(n, 0) for n in range(len(shares))]


def weighed(scores: Sequence[float], weights: Sequence[float], balance: float) -> list[float]:
    """Scores whose exp(score / balance) are those of the given ones times weights."""
    return [s + balance * math.log(w) for s, w in zip(scores, weights, strict=True)]
