"""Speeds as a table, and what they are measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from profiles.documents import Document
from profiles.latency.ceilings import Ceilings
from profiles.latency.measure import LatencyRow
from profiles.text_formats import NONE, milliseconds, percent, significant, size

TITLES = (
    "model",
    "level",
    "size",
    "test",
    "tok/s",
    "ms/call",
    "TTFT ms",
    "GFLOP/s (est.)",
    "% of ceiling",
    "GB/s (est.)",
    "% of ceiling",
)
UNSTEADY = 0.1


def document(
    rows: Sequence[LatencyRow], ceilings: Ceilings, unsteady: float, header: Mapping[str, Any]
) -> Document:
    """The measurement in all its forms; `unsteady` is how far the two readings lay apart."""
    return Document(
        title="Latency and utilization",
        header={**header, "ceilings": asdict(ceilings), "ceilings_differ": unsteady},
        rows=[asdict(row) for row in rows],
        table=[TITLES, *map(_cells, rows)],
        findings=findings(rows, ceilings, unsteady),
        texts=4,
    )


def findings(rows: Sequence[LatencyRow], ceilings: Ceilings, unsteady: float) -> list[str]:
    """What the figures rest on."""
    devices = "; ".join(dict.fromkeys(f"{row.format}: {row.device}" for row in rows))
    said = [f"Ran on {devices}; {rows[0].repeats} repeats after a warm-up."]
    if ceilings.flop_per_s is None or ceilings.bytes_per_s is None:
        said.append(f"No ceiling, no utilization ({ceilings.kernel}).")
    else:
        said.append(
            f"Ceilings of this device, measured in this run: {ceilings.flop_per_s / 1e9:.1f} "
            f"GFLOP/s and {ceilings.bytes_per_s / 1e9:.1f} GB/s ({ceilings.kernel}). Integer "
            "kernels of quantized weights can pass the first, models that fit the cache the second."
        )
    if unsteady > UNSTEADY:
        said.append(
            f"The ceilings of before and after differ by {100 * unsteady:.0f} %: the machine was "
            "not idle, and no speed here is worth quoting."
        )
    said.append(
        "Operations and bytes are computed, not measured: weights read once a call at the file's "
        "mean bits, keys and values once a branch and call; TTFT holds the prompt and one draw."
    )
    return said


def _cells(row: LatencyRow) -> list[str]:
    ttft = NONE
    if row.ttft_mean_s is not None:
        ttft = f"{milliseconds(row.ttft_mean_s)} ± {milliseconds(row.ttft_std_s)}"
    return [
        row.model,
        row.level,
        size(row.size_bytes),
        row.test,
        f"{row.tok_per_s_mean:.2f} ± {row.tok_per_s_std:.2f}",
        milliseconds(row.call_s),
        ttft,
        significant(row.flop_per_s / 1e9),
        percent(row.flop_utilization),
        significant(row.bytes_per_s / 1e9),
        percent(row.bytes_utilization),
    ]
