"""Fidelity as a table and in sentences that claim no more than the intervals allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from profiles.documents import Document
from profiles.fidelity.measure import Fidelity
from profiles.fidelity.rows import FidelityRow
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
        rows=[asdict(row) for row in found.rows],
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
    return f"{row.model} at {row.level}: {_divergence(row)}; {_perplexity(row)}."


def _noise(row: FidelityRow) -> str:
    return (
        f"Self-noise: the baseline against itself at {row.batch_tokens} tokens a call has a mean "
        f"KL of {nats(row.kl_mean_nats)} nats; less than that is no finding."
    )


def _divergence(row: FidelityRow) -> str:
    low, high = row.kl_excess_low_nats, row.kl_excess_high_nats
    if row.kl_excess_nats is None or low is None or high is None:
        return f"mean KL {nats(row.kl_mean_nats)} nats"
    if low <= 0:
        return (
            "no difference detected in KL; "
            f"a mean above the self-noise by {nats(high)} nats would have been"
        )
    return (
        f"mean KL {nats(row.kl_excess_nats)} nats above the self-noise "
        f"[{nats(low)}, {nats(high)}]: detected"
    )


def _perplexity(row: FidelityRow) -> str:
    low, high = row.perplexity_ratio_low, row.perplexity_ratio_high
    assert row.perplexity_ratio is not None
    if low is None or high is None:
        return f"perplexity {change(row.perplexity_ratio)} %"
    if low <= 1 <= high:
        return (
            "no difference detected in perplexity; "
            f"a rise above {100 * (high - 1):.2g} % would have been"
        )
    return f"perplexity {change(row.perplexity_ratio)} % [{change(low)}, {change(high)}]: detected"


def _cells(row: FidelityRow) -> list[str]:
    level = row.level if row.kind == "level" else f"{row.level} ({row.kind})"
    cells = [
        row.model,
        level,
        row.format,
        significant(row.bits_per_weight),
        _with(row.perplexity, row),
    ]
    if row.kl_mean_nats is None:
        return cells + [NONE] * (len(TITLES) - len(cells))
    return [
        *cells,
        _interval(row),
        _nats_with(row.kl_mean_nats, row.kl_mean_se_nats),
        _nats_with(row.kl_median_nats, row.kl_median_se_nats),
        _nats_with(row.kl_p99_nats, row.kl_p99_se_nats),
        _percent_with(row.same_top, row.same_top_se),
        _percent_with(row.probability_change_rms, row.probability_change_rms_se),
    ]


def _with(perplexity: float, row: FidelityRow) -> str:
    return f"{perplexity:.4f} ± {row.perplexity_se:.5f}"


def _interval(row: FidelityRow) -> str:
    assert row.perplexity_ratio is not None
    if row.perplexity_ratio_low is None or row.perplexity_ratio_high is None:
        return change(row.perplexity_ratio)
    low, high = change(row.perplexity_ratio_low), change(row.perplexity_ratio_high)
    return f"{change(row.perplexity_ratio)} [{low}, {high}]"


def change(ratio: float) -> str:
    """A ratio as a signed change in percent: `+1.24`."""
    return signed(100 * (ratio - 1), 2)


def nats(value: float | None) -> str:
    """Nats with six decimals as llama.cpp prints them, smaller ones with an exponent."""
    if value is None:
        return NONE
    return f"{value:.6f}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"


def _nats_with(value: float | None, error: float | None) -> str:
    return nats(value) if error is None else f"{nats(value)} ± {nats(error)}"


def _percent_with(value: float | None, error: float | None) -> str:
    if value is None or error is None:
        return NONE
    return f"{100 * value:.3f} ± {100 * error:.3f}"
