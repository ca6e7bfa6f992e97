"""How alike the states of candidates are: uniqueness (DORA) and clusters (ETS)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from methods.candidate import Candidate
from runtime.engine import Hidden

Matrix = npt.NDArray[np.float64]  # (B, B)


def ends(candidates: Sequence[Candidate]) -> Hidden:
    """(B, D): the policy's final states at the last tokens of paths; decoding had them."""
    paths = (reversed(c.steps) for c in candidates)  # a step may be empty
    return np.stack([next(s.state for s in path if s.state is not None) for path in paths])


def cosines(states: Hidden) -> Matrix:
    """(B, B): cosines between the rows of (B, D)."""
    rows = states.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return rows @ rows.T


def uniqueness(similar: Matrix, temperature: float = 1.0) -> list[float]:
    """What each of B candidates keeps of itself: the diagonal of the softmax over its row.

    1 / B where all are alike, towards 1 where a candidate stands alone.
    """
    weights = np.exp((similar - similar.max(axis=1, keepdims=True)) / temperature)
    return [float(share) for share in weights.diagonal() / weights.sum(axis=1)]


def clusters(similar: Matrix, distance: float) -> list[int]:
    """The cluster of each candidate: average linkage, merged up to a cosine distance."""
    groups = [[n] for n in range(len(similar))]
    while len(groups) > 1:
        apart = {
            (a, b): 1 - float(similar[np.ix_(groups[a], groups[b])].mean())
            for b in range(len(groups))
            for a in range(b)
        }
        a, b = min(apart, key=lambda pair: apart[pair])
        if apart[a, b] > distance:
            break
        groups[a] += groups.pop(b)
    return [next(g for g, group in enumerate(groups) if n in group) for n in range(len(similar))]
