"""Drift as a table, a line a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from profiles.documents import Document
from profiles.drift.measure import DriftRow
from profiles.text_formats import NONE, percent, significant

TITLES = (
    "level",
    "bits/weight",
    "w mean",
    "w 1 / 50 / 99 %",
    "RMS Δw",
    "correlation",
    "sign changed, %",
    "KL mean ± se",
    "KL 99 %",
    "same top, %",
)


def document(rows: Sequence[DriftRow], header: Mapping[str, Any]) -> Document:
    """The measurement in all its forms."""
    return Document(
        "What quantization does inside the thinker",
        header,
        [asdict(row) for row in rows],
        [TITLES, *map(_cells, rows)],
    )


def _cells(row: DriftRow) -> tuple[str, ...]:
    kl = NONE
    if row.kl_mean_nats is not None:
        kl = f"{significant(row.kl_mean_nats)} ± {significant(row.kl_mean_se_nats, 2)}"
    return (
        f"{row.format} {row.level}",
        f"{row.bits_per_weight:.2f}",
        f"{row.w_mean:.3f}",
        f"{row.w_p1:.2f} / {row.w_p50:.2f} / {row.w_p99:.2f}",
        significant(row.w_change_rms),
        NONE if row.w_correlation is None else f"{row.w_correlation:.4f}",
        percent(row.sign_changes),
        kl,
        significant(row.kl_p99_nats),
        percent(row.same_top),
    )
