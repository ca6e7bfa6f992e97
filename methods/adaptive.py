"""Adaptive consistency: a vote that stops when it is sure (Aggarwal et al. 2023, 2305.11860)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from methods.baseline import SampleVote, sample
from methods.build import MethodSpec, Watch
from methods.candidate import Candidate
from methods.scorers import Scorer
from runtime.engine import Engine


def adaptive(spec: MethodSpec, engine: Engine, _: Scorer | None, watch: Watch) -> SampleVote:
    """Samples in waves, `spec.width` at most. See `methods.build.Builder`."""
    enough = partial(settled, confidence=spec.own["confidence"])
    vote = sample(spec, engine, None, watch)
    return replace(vote, wave=int(spec.own["wave"]), enough=enough)


def settled(candidates: Sequence[Candidate], confidence: float) -> bool:
    """Whether the leading answer beats the second one for good, as sure as asked."""
    given = [c.reading.answer for c in candidates]
    answers = [answer for answer in given if answer is not None]
    if not answers:
        return False
    counts = Counter(candidates[0].reader.groups(answers)).most_common(2)
    first, second = counts[0][1], counts[1][1] if len(counts) > 1 else 0
    return certainty(first, second) > confidence


def certainty(first: int, second: int) -> float:
    """P(p > 1/2) for p ~ Beta(first + 1, second + 1): the first answer outweighs the second.

    Of whole numbers that is P(at most `first` heads in `first + second + 1` throws).
    """
    throws = first + second + 1
    return float(sum(math.comb(throws, heads) for heads in range(first + 1)) / 2**throws)
