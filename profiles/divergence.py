"""What one model says at every scored position, and how far that is from a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from profiles.coded_logprobs import Coded
from runtime.engine import Logits

FLOOR_NATS = -16.0  # entries that the baseline holds less likely add nothing
BLOCK_ENTRIES = 1 << 22  # of a vocabulary times rows, worked on at a time

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Divergences:
    """Against a baseline, each (S,)."""

    kl: Values  # of the baseline's distribution to this one, in nats
    same_top: Values  # 1 where both hold the same token most likely
    probability_change: Values  # of the token that follows: here minus there


def losses(logits: Logits, targets: npt.NDArray[np.int64]) -> Values:
    """(S,): negative log-likelihoods of the tokens that follow, in nats, from (S, V) logits."""
    return _normalisers(logits) - logits[np.arange(len(targets)), targets]


def divergences(logits: Logits, targets: npt.NDArray[np.int64], base: Coded) -> Divergences:
    """(S, V) logits against the baseline's coded rows, in blocks of rows."""
    size = max(1, BLOCK_ENTRIES // logits.shape[1])
    blocks = [
        _block(
            logits[begin : begin + size],
            targets[begin : begin + size],
            Coded(*(getattr(base, f.name)[begin : begin + size] for f in fields(base))),
        )
        for begin in range(0, len(logits), size)
    ]
    return joined(blocks)


def joined(parts: Sequence[Divergences]) -> Divergences:
    """One after the other."""
    return Divergences(
        *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Divergences))
    )


def _block(logits: Logits, targets: npt.NDArray[np.int64], base: Coded) -> Divergences:
    theirs = base.logprobs().astype(np.float64)  # (S, V)
    ours = logits.astype(np.float64) - _normalisers(logits)[:, None]
    shares = np.exp(theirs)
    terms = np.where(theirs > FLOOR_NATS, shares * (theirs - ours), 0.0)
    rows = np.arange(len(targets))
    return Divergences(
        kl=terms.sum(axis=1),
        same_top=(logits.argmax(axis=1) == theirs.argmax(axis=1)).astype(np.float64),
        probability_change=np.exp(ours[rows, targets]) - shares[rows, targets],
    )


def _normalisers(logits: Logits) -> Values:
    """(S,): the logarithm of the sum of exponentials of each row."""
    top = logits.max(axis=1)
    total = np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)
    return np.asarray(np.log(total) + top)
