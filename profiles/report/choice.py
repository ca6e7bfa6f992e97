"""The row to use: the most accurate, its runner-up, and a much faster one that is as good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from methods.catalog import METHODS, ProtocolName
from profiles.report.row_comparison import Judge, RowComparison
from profiles.report.rows import Row

FASTER = 0.8  # of the pick's median latency, before a row counts as faster


@dataclass(frozen=True, slots=True)
class RowChoice:
    """The pick. `thrifty` is the fastest row that cannot be told from it, if much faster."""

    pick: Row
    runner_up: Row | None
    against: RowComparison | None  # the pick against the runner-up
    thrifty: Row | None


def choose(rows: Sequence[Row], judge: Judge) -> RowChoice:
    """The most accurate of the rows; of equals the fastest, then the smallest.

    Raises:
        ValueError: if there are none.
    """
    pick, *rest = sorted(rows, key=order)
    faster = [row for row in rest if latency(row) <= FASTER * latency(pick)]
    return RowChoice(
        pick=pick,
        runner_up=rest[0] if rest else None,
        against=judge(pick, rest[0]) if rest else None,
        thrifty=min((r for r in faster if judge(pick, r).same), key=latency, default=None),
    )


def eligible(rows: Sequence[Row]) -> list[Row]:
    """The rows that a report chooses from: methods under the fair protocol, not the checkpoint.

    All rows where that leaves none.
    """
    fair = [r for r in rows if r.setup.protocol is ProtocolName.FAIR and r.setup.method in METHODS]
    return [r for r in fair if r.setup.format != "torch"] or fair or list(rows)


def order(row: Row) -> tuple[float, float, int]:
    """The better row comes first."""
    return -row.accuracy.value, latency(row), row.memory.file_bytes


def latency(row: Row) -> float:
    """Median seconds of a question; inf where none ran."""
    return float("inf") if row.cost.latency_p50_s is None else row.cost.latency_p50_s
