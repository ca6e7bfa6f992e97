"""ETS: efficient tree search (Hooper et al. 2025, arXiv 2502.13575)."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from methods.candidate import Candidate
from methods.rebase import Rebase
from methods.similarity import clusters, cosines, ends

DISTANCE = 0.05  # of cosines, up to which candidates mean the same


@dataclass(frozen=True, slots=True)
class Ets(Rebase):
    """REBASE among few candidates: those that are worth the KV cache their paths need.

    Before every stage a set is chosen that has much of REBASE's budget, few steps in its tree and
    many clusters of like candidates. The paper solves an integer program; here the set grows by
    what adds most, while anything adds. Embeddings are the policy's own states, as in `dora`.
    """

    states = True

    node_price: float = 1.0
    cluster_worth: float = 1.5

    def shares(self, frontier: Sequence[Candidate], budget: int) -> list[int]:
        scores = [c.score for c in frontier]
        counts = self.allotted(scores, budget)
        if len(frontier) == 1:
            return counts
        nodes = [frozenset(map(id, c.steps)) for c in frontier]  # siblings share the steps before
        alike = clusters(cosines(ends(frontier)), DISTANCE)
        worth = [count / sum(counts) for count in counts]
        kept = chosen(worth, nodes, alike, self.node_price, self.cluster_worth)
        again = dict(zip(kept, self.allotted([scores[n] for n in kept], budget), strict=True))
        return [again.get(n, 0) for n in range(len(frontier))]


def chosen(
    worth: Sequence[float],
    nodes: Sequence[AbstractSet[int]],
    alike: Sequence[int],
    node_price: float,
    cluster_worth: float,
) -> list[int]:
    """Positions of the candidates to keep, one at least.

    They maximise, greedily: the sum of `worth`, less `node_price` times the share of all `nodes`
    that their paths hold, and `cluster_worth` times the share of all clusters that they cover.
    """
    everything, groups = len(frozenset().union(*nodes)), len(set(alike))
    kept: list[int] = []
    while rest := [n for n in range(len(worth)) if n not in kept]:
        held = frozenset().union(*(nodes[n] for n in kept))
        covered = {alike[n] for n in kept}
        gains = {
            n: worth[n]
            - node_price * len(nodes[n] - held) / everything
            + cluster_worth * (alike[n] not in covered) / groups
            for n in rest
        }
        best = max(rest, key=lambda n: gains[n])
        if kept and gains[best] <= 0:
            break
        kept.append(best)
    return sorted(kept)
