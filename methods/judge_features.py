"""What a policy's own numbers say of a step: how sure it was of it, and of the path so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from runtime.engine import Step

Floats = npt.NDArray[np.float32]
NAMES = (
    *("least", "mean", "sum"),  # log-probabilities of the step
    *("entropy", "entropy_most"),
    *("surprise", "surprise_most"),  # beyond what was to be expected: entropy + log-probability
    "tokens",  # log
    *("path_sum", "path_least", "path_mean", "path_entropy"),
    *("depth", "ended", "cut"),
)


def step_features(before: Sequence[Step], step: Step) -> Floats:
    """(F,) numbers of a step after others, named by `NAMES`; a step has at least one token."""
    own, unsure, n = step.logprobs, step.entropies, len(step.logprobs)
    path = [x for s in (*before, step) for x in s.logprobs]
    doubts = [x for s in (*before, step) for x in s.entropies]
    surprise = [x + y for x, y in zip(own, unsure, strict=True)]
    return np.array(
        [
            *(min(own), sum(own) / n, sum(own)),
            *(sum(unsure) / n, max(unsure)),
            *(sum(surprise) / n, min(surprise)),
            math.log(n),
            *(sum(path), min(path), sum(path) / len(path), sum(doubts) / len(path)),
            *(len(before), step.finish == "eos", step.finish in ("length", "loop")),
        ],
        np.float32,
    )


def token_features(steps: Sequence[Step]) -> Floats:
    """(T, 2): log-probability and entropy of every token of a path."""
    logprobs = np.concatenate([np.array(step.logprobs, np.float32) for step in steps])
    entropies = np.concatenate([np.array(step.entropies, np.float32) for step in steps])
    return np.stack([logprobs, entropies], axis=1)
