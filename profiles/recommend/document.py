"""A recommendation in sentences that claim no more than was measured."""

from __future__ import annotations

from methods.budget import amount_text
from profiles.recommend.measure import (
    Recommendation,
    RowLimits,
    Ruled,
    card_bytes,
    card_bytes_source,
    cost_of,
)
from profiles.report.names import row_name
from profiles.report.row_comparison import RowComparison
from profiles.report.rows import Row
from profiles.text_formats import gib, percent, points, significant, size

SHOWN = 5  # rows that were ruled out


def text(found: Recommendation, limits: RowLimits) -> str:
    """The pick with its numbers, the runner-up, and what ruled out better ones."""
    pick = found.pick
    lines = [
        f"recommended: {row_name(pick)}",
        f"  accuracy: {_accuracy(pick)}, the highest of {found.qualified} rows within the limits "
        f"({found.measured} measured)",
        f"  latency:  {_latency(pick)} a question{_limit(limits.latency_s, ' s')}",
        f"  memory:   {_memory(pick, limits)}",
        *_spent(pick, limits),
    ]
    lines += [f"  {remark}" for remark in _remarks(pick, limits)]
    lines += _runner_up(found)
    if found.thrifty is not None:
        same = "the runner-up" if found.thrifty == found.runner_up else row_name(found.thrifty)
        lines.append(f"as good as {pick.n} questions can tell, and faster: {same}")
        lines.append(f"  {_accuracy(found.thrifty)}; {_latency(found.thrifty)}")
    if found.better:
        lines.append("more accurate, but ruled out:")
        lines += [f"  {_ruled(ruled)}" for ruled in found.better[:SHOWN]]
        if len(found.better) > SHOWN:
            lines.append(f"  and {len(found.better) - SHOWN} more")
    return "\n".join(lines)


def _accuracy(row: Row) -> str:
    right = row.accuracy
    interval = f"[{percent(right.low)}, {percent(right.high)}]"
    return f"{percent(right.value)} % {interval} of {row.n} questions"


def _latency(row: Row) -> str:
    return (
        f"p50 {significant(row.cost.latency_p50_s)} s, p95 {significant(row.cost.latency_p95_s)} s"
    )


def _limit(value: float | None, unit: str) -> str:
    return "" if value is None else f" (limit: p95 {value:g}{unit})"


def _memory(row: Row, limits: RowLimits) -> str:
    said = f"peak RSS {size(row.memory.peak_rss_bytes)}"
    if limits.ram_bytes is not None:
        said += f" of {gib(limits.ram_bytes)}"
    need = card_bytes(row)
    if need is None:
        return f"{said}; on a card not measured"
    card = f" of {gib(limits.vram_bytes)}" if limits.vram_bytes is not None else ""
    return f"{said}; on a card {size(need)}{card}, {card_bytes_source(row)}, 1 GiB left free in it"


def _spent(row: Row, limits: RowLimits) -> list[str]:
    """What a question takes of the budget that was asked for."""
    if limits.budget is None:
        return []
    unit = limits.budget.unit
    spent = cost_of(row, unit)
    assert spent is not None  # else it would not be within the limits
    estimated = ", estimated" if unit == "T" else ""
    return [f"  spends:   {amount_text(spent, unit)} a question{estimated}, of {limits.budget}"]


def _remarks(row: Row, limits: RowLimits) -> list[str]:
    said = []
    if change := row.change:
        verdict = "no difference detected" if change.holds_zero else "a real difference"
        said.append(
            f"against the baseline: {points(change.delta_accuracy)} points "
            f"[{points(change.delta_low)}, {points(change.delta_high)}], {verdict}"
        )
    if limits.accuracy is not None and row.accuracy.low < limits.accuracy:
        said.append(
            f"its interval reaches below the {100 * limits.accuracy:g} % asked for: "
            f"{row.n} questions do not settle it"
        )
    return said


def _runner_up(found: Recommendation) -> list[str]:
    other = found.runner_up
    if other is None or found.against is None:
        return ["runner-up: none, only this row keeps the limits"]
    return [
        f"runner-up: {row_name(other)}",
        f"  {_accuracy(other)}; {_latency(other)}; peak RSS {size(other.memory.peak_rss_bytes)}",
        f"  {_verdict(found.against, found.pick.n)}",
    ]


def _verdict(against: RowComparison, questions: int) -> str:
    """What sets the pick apart from another row, if anything does."""
    paired = against.paired
    if paired is not None:
        said = "no difference detected" if against.same else "a real difference"
        return (
            f"the pick minus it, paired by question: {points(paired.difference)} points "
            f"[{points(paired.low)}, {points(paired.high)}], {said}"
        )
    if against.same:
        return f"the intervals overlap: {questions} questions do not tell the two apart"
    return "the intervals do not overlap: the difference is real"


def _ruled(ruled: Ruled) -> str:
    reasons = " and ".join(breach.text for breach in ruled.breaches)
    unsure = ", not surely better" if ruled.against.same else ""
    return f"{row_name(ruled.row)}: {percent(ruled.row.accuracy.value)} %{unsure}; {reasons}"
