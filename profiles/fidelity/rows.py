"""The figures of one model on one text, with their errors; the units end the names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from profiles.fidelity.coded_logprobs import Values
from profiles.fidelity.divergence import Divergences
from profiles.intervals import CONFIDENCE
from profiles.opened_model import OpenedModel

RESAMPLES = 200  # of the chunks, for the errors of percentiles
Kind = Literal["baseline", "self-noise", "level"]


@dataclass(frozen=True, slots=True)
class ScoredPositions:
    """What one model gave at every scored position: (chunks * S,) values, and where they end."""

    model: OpenedModel
    kind: Kind
    batch_tokens: int
    nll: Values
    divergences: Divergences | None  # None for the baseline


@dataclass(frozen=True, slots=True)
class BaselineDivergence:
    """How far a model is from the baseline, whose distribution the divergences start from."""

    perplexity_ratio: float
    perplexity_ratio_low: float | None  # None: one chunk has no spread
    perplexity_ratio_high: float | None
    kl_mean_nats: float
    kl_mean_se_nats: float
    kl_median_nats: float
    kl_median_se_nats: float | None
    kl_p99_nats: float
    kl_p99_se_nats: float | None
    kl_max_nats: float
    same_top: float
    same_top_se: float
    probability_change_rms: float
    probability_change_rms_se: float


@dataclass(frozen=True, slots=True)
class KlExcess:
    """The divergence beyond that of the baseline to itself."""

    kl_excess_nats: float
    kl_excess_low_nats: float | None
    kl_excess_high_nats: float | None


@dataclass(frozen=True, slots=True)
class FidelityRow:
    """One line. Errors (`_se`) are standard errors over positions, as llama.cpp prints them.

    The bounds are 95 % intervals with whole chunks as the units: positions of one chunk depend on
    each other.
    """

    kind: Kind
    model: str
    format: str
    level: str
    device: str
    bits_per_weight: float
    size_bytes: int
    batch_tokens: int
    positions: int
    perplexity: float
    perplexity_se: float
    divergence: BaselineDivergence | None = None  # None in the baseline's own row
    excess: KlExcess | None = None  # of levels alone


def row(
    ours: ScoredPositions, base: ScoredPositions, noise: ScoredPositions | None, chunks: int
) -> FidelityRow:
    """The line of one model against the baseline, and beyond the baseline's own noise."""
    perplexity = math.exp(ours.nll.mean())
    return FidelityRow(
        kind=ours.kind,
        model=ours.model.name,
        format=ours.model.format,
        level=ours.model.level,
        device=ours.model.device,
        bits_per_weight=ours.model.bits_per_weight,
        size_bytes=ours.model.size_bytes,
        batch_tokens=ours.batch_tokens,
        positions=len(ours.nll),
        perplexity=perplexity,
        perplexity_se=perplexity * standard_error(ours.nll),
        divergence=_divergence(ours, base, chunks),
        excess=_excess(ours, noise, chunks),
    )


def standard_error(values: Values) -> float:
    """Of a mean over positions, taken as independent: llama.cpp's."""
    return float(values.std()) / math.sqrt(max(1, len(values) - 1))


def chunk_interval(values: Values, chunks: int) -> tuple[float | None, float | None]:
    """Student's interval of a mean over chunks; None where one chunk has no spread to tell."""
    if chunks < 2:
        return None, None
    means = values.reshape(chunks, -1).mean(axis=1)
    reach = float(student.ppf((1 + CONFIDENCE) / 2, chunks - 1))
    error = float(means.std(ddof=1)) / math.sqrt(chunks)
    return float(means.mean()) - reach * error, float(means.mean()) + reach * error


def percentile(values: npt.NDArray[np.floating[Any]], fraction: float) -> float:
    """Linear between the nearest values; in float32, as llama.cpp's tool has it."""
    place = np.float32(fraction) * np.float32(len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    low, high = np.partition(values, [below, above])[[below, above]].astype(np.float32)
    share = place - np.float32(below)
    return float((np.float32(1) - share) * low + share * high)


def _divergence(
    ours: ScoredPositions, base: ScoredPositions, chunks: int
) -> BaselineDivergence | None:
    found = ours.divergences
    if found is None:
        return None
    difference = ours.nll - base.nll
    low, high = chunk_interval(difference, chunks)
    kl, squares = found.kl, found.probability_change**2
    values = kl.astype(np.float32)  # which llama.cpp's tool sorts
    rms = math.sqrt(squares.mean())
    return BaselineDivergence(
        perplexity_ratio=math.exp(difference.mean()),
        perplexity_ratio_low=None if low is None else math.exp(low),
        perplexity_ratio_high=None if high is None else math.exp(high),
        kl_mean_nats=float(kl.mean()),
        kl_mean_se_nats=standard_error(kl),
        kl_median_nats=float(np.median(values)),
        kl_median_se_nats=_resampled_error(kl, chunks, lambda v: float(np.median(v))),
        kl_p99_nats=percentile(values, 0.99),
        kl_p99_se_nats=_resampled_error(kl, chunks, lambda v: percentile(v, 0.99)),
        kl_max_nats=float(values.max()),
        same_top=float(found.same_top.mean()),
        same_top_se=standard_error(found.same_top),
        probability_change_rms=rms,
        probability_change_rms_se=standard_error(squares) / (2 * rms) if rms else 0.0,
    )


def _excess(ours: ScoredPositions, noise: ScoredPositions | None, chunks: int) -> KlExcess | None:
    if ours.kind != "level" or ours.divergences is None:
        return None
    if noise is None or noise.divergences is None:
        return None
    beyond = ours.divergences.kl - noise.divergences.kl
    return KlExcess(float(beyond.mean()), *chunk_interval(beyond, chunks))


def _resampled_error(
    values: Values, chunks: int, statistic: Callable[[Values], float]
) -> float | None:
    """The standard deviation of a statistic over resampled chunks, with a fixed seed."""
    if chunks < 2:
        return None
    draws = np.random.default_rng(0).integers(chunks, size=(RESAMPLES, chunks))
    rows = values.reshape(chunks, -1)
    found = [statistic(rows[draw].ravel()) for draw in draws]
    return float(np.std(found, ddof=1))
