"""Numbers read off a model's states while it decodes: a linear map, so that little is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal

Floats = npt.NDArray[np.float32]

FINAL = -1  # the state after the final norm, among layers


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What is read at every token that was decoded.

    A layer is the number of layers that a state has passed, from 1 to one less than the model has.
    """

    layers: tuple[int, ...]  # none: entropies alone
    weight: Floats | None = None  # (K, len(layers) * D); None: the states as they are

    def __call__(self, states: Sequence[Floats]) -> Floats:
        """(B, K) from the (B, D) states of each layer; always a copy."""
        side_by_side = np.concatenate(states, axis=1)
        return side_by_side if self.weight is None else side_by_side @ self.weight.T

    def inner(self) -> tuple[int, ...]:
        """The layers inside the model."""
        return tuple(layer for layer in self.layers if layer != FINAL)


def check_layers(layers: Sequence[int], count: int, name: str) -> None:
    """Refuse layers that a model with so many does not have between two of its own."""
    for layer in layers:
        if layer != FINAL and not 0 < layer < count:
            raise Refusal(
                f"layer {layer} is not between two of the {count} of {name}; choose 1 to "
                f"{count - 1}, or final"
            )
