"""Fidelity as a table and in sentences that claim no more than the intervals allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from profiles.documents import Document
from profiles.fidelity.measure import Fidelity
from profiles.fidelity.rows import BaselineDivergence, FidelityRow, KlExcess
from profiles.flat_rows import flat
from profiles.text_formats import NONE, signed, significant

TITLES = (
    "model",
    "level",
    "format",
    "bits/weight",
    "perplexity",
    "Δ perplexity % [95 % CI]",
    "KL mean, nats",
    "KL median",
    "KL 99 %",
    "same top token %",
    "RMS Δp %",
)


def document(found: Fidelity, header: Mapping[str, Any]) -> Document:
    """The measurement in all its forms."""
    return Document(
        title="Fidelity to full precision",
        header={
            **header,
            "context_tokens": found.context,
            "chunks": found.chunks,
            "scored_positions_per_chunk": found.scored,
        },
        rows=[flat(row) for row in found.rows],
        table=[TITLES, *map(_cells, found.rows)],
        findings=findings(found),
        texts=3,
    )


def findings(found: Fidelity) -> list[str]:
    """What the table says."""
    base = found.rows[0]
    said = [
        f"The baseline is {base.model} at {base.level} ({base.device}); "
        f"{base.positions} positions of {found.chunks} chunks of {found.context} tokens."
    ]
    if base.format != "torch":
        said.append("The baseline is itself a converted file, possibly degraded.")
    said += [_noise(row) for row in found.rows if row.kind == "self-noise"]
    said += [verdict(row) for row in found.rows if row.kind == "level"]
    if found.chunks < 2:
        said.append("One chunk has no spread between chunks: no interval can be stated.")
    return said


def verdict(row: FidelityRow) -> str:
    """Whether a level differs from the baseline in KL and in perplexity."""
    assert row.divergence is not None
    return (
        f"{row.model} at {row.level}: {_divergence(row.divergence, row.excess)}; "
        f"{_perplexity(row.divergence)}."
    )


def _noise(row: FidelityRow) -> str:
    assert row.divergence is not None
    return (
        f"Self-noise: the baseline against itself at {row.batch_tokens} tokens a call has a mean "
        f"KL of {nats(row.divergence.kl_mean_nats)} nats; less than that is no finding."
    )


def _divergence(found: BaselineDivergence, excess: KlExcess | None) -> str:
    low, high = (
        (None, None) if excess is None else (excess.kl_excess_low_nats, excess.kl_excess_high_nats)
    )
    if excess is None or low is None or high is None:
        return f"mean KL {nats(found.kl_mean_nats)} nats"
    if low <= 0:
        return (
            "no difference detected in KL; "
            f"a mean above the self-noise by {nats(high)} nats would have been"
        )
    return (
        f"mean KL {nats(excess.kl_excess_nats)} nats above the self-noise "
        f"[{nats(low)}, {nats(high)}]: detected"
    )


def _perplexity(found: BaselineDivergence) -> str:
    ratio, low, high = _ratio(found)
    if low is None or high is None:
        return f"perplexity {change(ratio)} %"
    if low <= 1 <= high:
        return (
            "no difference detected in perplexity; "
            f"a rise above {100 * (high - 1):.2g} % would have been"
        )
    return f"perplexity {change(ratio)} % [{change(low)}, {change(high)}]: detected"


def _ratio(found: BaselineDivergence) -> tuple[float, float | None, float | None]:
    return found.perplexity_ratio, found.perplexity_ratio_low, found.perplexity_ratio_high


def _cells(row: FidelityRow) -> list[str]:
    level = row.level if row.kind == "level" else f"{row.level} ({row.kind})"
    cells = [
        row.model,
        level,
        row.format,
        significant(row.bits_per_weight),
        f"{row.perplexity:.4f} ± {row.perplexity_se:.5f}",
    ]
    found = row.divergence
    if found is None:
        return cells + [NONE] * (len(TITLES) - len(cells))
    return [
        *cells,
        _interval(found),
        _nats_with(found.kl_mean_nats, found.kl_mean_se_nats),
        _nats_with(found.kl_median_nats, found.kl_median_se_nats),
        _nats_with(found.kl_p99_nats, found.kl_p99_se_nats),
        _percent_with(found.same_top, found.same_top_se),
        _percent_with(found.probability_change_rms, found.probability_change_rms_se),
    ]


def _interval(found: BaselineDivergence) -> str:
    ratio, low, high = _ratio(found)
    if low is None or high is None:
        return change(ratio)
    return f"{change(ratio)} [{change(low)}, {change(high)}]"


def change(ratio: float) -> str:
    """A ratio as a signed change in percent: `+1.24`."""
    return signed(100 * (ratio - 1), 2)


def nats(value: float) -> str:
    """Nats with six decimals as llama.cpp prints them, smaller ones with an exponent."""
    return f"{value:.6f}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"


def _nats_with(value: float, error: float | None) -> str:
    return nats(value) if error is None else f"{nats(value)} ± {nats(error)}"


def _percent_with(value: float, error: float) -> str:
    return f"{100 * value:.3f} ± {100 * error:.3f}"
