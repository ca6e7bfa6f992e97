"""Where to think: only at tokens whose base distribution is unsure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convert.refusal import Refusal
from runtime.engine import Logits
from runtime.options import GateBy

DEFAULTS: dict[GateBy, float] = {"probability": 0.9, "entropy": 0.3}


@dataclass(frozen=True, slots=True)
class Gate:
    """Thinks where the top probability is below a threshold, or the entropy (nats) above one.

    Raises:
        Refusal: for a threshold that no distribution could be on both sides of.
    """

    by: GateBy
    threshold: float

    def __post_init__(self) -> None:
        if self.threshold < 0 or (self.by == "probability" and self.threshold > 1):
            limits = "0 to 1" if self.by == "probability" else "0 or more, in nats"
            raise Refusal(f"gate {self.threshold:g} by {self.by}: choose {limits}")

    def __call__(self, logits: Logits) -> list[int]:
        """The rows of (B, V) logits to think about; entries may be -inf."""
        shifted = logits - logits.max(axis=1, keepdims=True)
        weights = np.exp(shifted)
        totals = weights.sum(axis=1)
        if self.by == "probability":
            return list(np.flatnonzero(1 / totals < self.threshold).tolist())
        finite = np.where(weights > 0, shifted, 0)
        entropy = np.log(totals) - (weights * finite).sum(axis=1) / totals
        return list(np.flatnonzero(entropy > self.threshold).tolist())
