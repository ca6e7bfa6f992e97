"""Drift as a table, a line a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from profiles.documents import Document
from profiles.drift.measure import DriftRow
from profiles.flat_rows import flat
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
        [flat(row) for row in rows],
        [TITLES, *map(_cells, rows)],
    )


def _cells(row: DriftRow) -> list[str]:
    w, drift = row.weights, row.drift
    cells = [
        f"{row.format} {row.level}",
        f"{row.bits_per_weight:.2f}",
        f"{w.w_mean:.3f}",
        f"{w.w_p1:.2f} / {w.w_p50:.2f} / {w.w_p99:.2f}",
    ]
    if drift is None:
        return cells + [NONE] * (len(TITLES) - len(cells))
    return [
        *cells,
        significant(drift.w_change_rms),
        f"{drift.w_correlation:.4f}",
        percent(drift.sign_changes),
        f"{significant(drift.kl_mean_nats)} ± {significant(drift.kl_mean_se_nats, 2)}",
        significant(drift.kl_p99_nats),
        percent(drift.same_top),
    ]
