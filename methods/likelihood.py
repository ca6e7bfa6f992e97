"""How likely a model finds a given text, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runtime.engine import Engine

CHUNK = 128  # positions whose rows are in memory at once


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The log-probability of a token, in nats, and the likeliest tokens at its place."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()  # (id, logprob), likeliest first

    @property
    def greedy(self) -> bool:
        """Whether greedy decoding would have taken this token; needs at least one of `top`."""
        return self.token == self.top[0][0]


def likelihoods(engine: Engine, tokens: Sequence[int], top: int = 1) -> Iterator[Likelihood]:
    """One for every token but the first, which nothing precedes.

    Raises:
        ContextFull: if the text is longer than the KV cache.
    """
    with engine.open(tokens[:1]) as branch:
        row = engine.logits([branch]) if len(tokens) > 1 else np.zeros((0, 0), np.float32)
        for begin in range(1, len(tokens), CHUNK):
            chunk = tokens[begin : begin + CHUNK]
            first = row.copy()
            fed = engine.feed([branch], [chunk], tail=len(chunk)).logits  # (chunk, V)
            yield from _read(np.concatenate([first, fed[:-1]]), chunk, top)
            row = fed[-1:]


def ranked(logits: npt.NDArray[np.float32], top: int) -> list[tuple[tuple[int, float], ...]]:
    """The likeliest ids of every row with their log-probabilities; rows are (B, V)."""
    logprobs = _log_softmax(logits)
    return [_top(row, top) for row in logprobs]


def _read(rows: npt.NDArray[np.float32], tokens: Sequence[int], top: int) -> Iterator[Likelihood]:
    for row, token in zip(_log_softmax(rows), tokens, strict=True):
        yield Likelihood(token, float(row[token]), _top(row, top))


def _log_softmax(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    shifted = rows.astype(np.float64) - rows.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _top(row: npt.NDArray[np.float64], top: int) -> tuple[tuple[int, float], ...]:
    if not top:
        return ()
    found = np.argpartition(-row, min(top, len(row) - 1))[:top]
    order = found[np.lexsort((found, -row[found]))]  # of equals the lower id, as argmax has it
    return tuple((int(i), float(row[i])) for i in order)
