"""What one model says at every scored position, and how far that is from a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from profiles.fidelity.coded_logprobs import Coded, Values, exp, log_total
from runtime.engine import Logits

FLOOR_NATS = -16.0  # entries that the baseline holds less likely add nothing
BLOCK_ENTRIES = 1 << 22  # of a vocabulary times rows, worked on at a time


@dataclass(frozen=True, slots=True)
class Divergences:
    """Against a baseline, each (S,)."""

    kl: Values  # of the baseline's distribution to this one, in nats
    same_top: Values  # 1 where both hold the same token most likely
    probability_change: Values  # of the token that follows: here minus there


def losses(logits: Logits, targets: npt.NDArray[np.int64]) -> Values:
    """(S,): negative log-likelihoods of the tokens that follow, in nats, from (S, V) logits.

    Rounded to float32 where llama.cpp's tool rounds, so that its last printed digit is met.
    """
    top = logits.max(axis=1)
    found: Logits = top + log_total(logits) - logits[np.arange(len(targets)), targets]
    return found.astype(np.float64)


def divergences(logits: Logits, targets: npt.NDArray[np.int64], base: Coded) -> Divergences:
    """(S, V) logits against the baseline's coded rows, in blocks of rows.

    Terms are rounded to float32 and added in float64, as llama.cpp's tool does.
    """
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
    theirs = base.logprobs()  # (S, V)
    normaliser = logits.max(axis=1) + log_total(logits)
    shares = exp(theirs)
    terms = np.where(theirs > FLOOR_NATS, shares * (theirs - logits + normaliser[:, None]), 0)
    rows = np.arange(len(targets))
    ours = exp(logits[rows, targets] - normaliser)
    return Divergences(
        kl=terms.sum(axis=1, dtype=np.float64),
        same_top=(logits.argmax(axis=1) == theirs.argmax(axis=1)).astype(np.float64),
        probability_change=(ours - shares[rows, targets]).astype(np.float64),
    )
