"""A baseline's log-probabilities in 16 bits each, coded as llama.cpp's perplexity tool codes them.

A row spans the range from its largest log-probability down to 16 nats below, in 65,535 steps. With
the same coding, divergences equal the tool's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runtime.engine import Logits

RANGE_NATS = np.float32(16)
STEPS = np.float32(65535)

Codes = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coded:
    """Rows of log-probabilities: `codes * scale + low`."""

    codes: Codes  # (S, V)
    scale: Floats  # (S,)
    low: Floats  # (S,)

    def logprobs(self) -> Floats:
        """(S, V) log-probabilities in nats, to within half a step."""
        return self.codes.astype(np.float32) * self.scale[:, None] + self.low[:, None]


def encode(logits: Logits) -> Coded:
    """(S, V) logits as coded log-probabilities."""
    top = logits.max(axis=1)
    bottom = np.maximum(logits.min(axis=1), top - RANGE_NATS)
    scale = (top - bottom) / STEPS
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    steps = np.rint(np.maximum(logits - bottom[:, None], 0) * inverse[:, None])
    low = bottom - top - log_total(logits)
    return Coded(np.minimum(steps, STEPS).astype(np.uint16), scale, low)


def exp(values: Floats) -> Floats:
    """Exponentials rounded correctly to float32, as C's `expf` does all but always."""
    return np.exp(values.astype(np.float64)).astype(np.float32)


def log_total(logits: Logits) -> Floats:
    """(S,): the logarithm of the sum of exponentials of each row, its largest entry taken as 0.

    The sum is in float64 over float32 terms, as in llama.cpp's tool. The error of its rounding to
    float32 shows in the tool's last printed digits, so that the same numbers have to be rounded.
    """
    top = logits.max(axis=1, keepdims=True)
    total: Values = exp(logits - top).sum(axis=1, dtype=np.float64)
    return np.log(total).astype(np.float32)


class Store:
    """Coded rows of all chunks in one file, as large as two bytes for a token and an entry."""

    def __init__(self, path: Path, chunks: int, scored: int, vocab: int) -> None:
        self._codes = np.memmap(path, np.uint16, "w+", shape=(chunks, scored, vocab))
        self._scale = np.zeros((chunks, scored), np.float32)
        self._low = np.zeros((chunks, scored), np.float32)

    def put(self, chunk: int, rows: Coded) -> None:
        """Keep the rows of a chunk."""
        self._codes[chunk], self._scale[chunk], self._low[chunk] = rows.codes, rows.scale, rows.low

    def get(self, chunk: int) -> Coded:
        """The rows of a chunk."""
        return Coded(self._codes[chunk], self._scale[chunk], self._low[chunk])


def bytes_needed(chunks: int, scored: int, vocab: int) -> int:
    """The size of a store's file."""
    return 2 * chunks * scored * vocab
