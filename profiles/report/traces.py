"""What was written on the way to the answers: how much, in circles or not, the right one or not."""

from __future__ import annotations

from collections.abc import Sequence

from methods.catalog import Selection
from profiles.intervals import Estimate, ratio
from profiles.records.record import Record
from profiles.report.names import method_name, short_level
from profiles.report.rows import Row, Traces
from profiles.text_formats import NONE, listed, percent

TITLES = (
    "level",
    "method",
    "tokens, times the baseline's [95 % CI]",
    "paths that loop, %",
    "wrong",
    "of them with the right answer in the trace, %",
)


def traces(
    records: Sequence[Record], selection: Selection, baseline: Sequence[Record]
) -> Traces | None:
    """Of the questions that ran; None if an earlier version ran some, which did not look."""
    ran = [record for record in records if record.failed is None]
    wrong = [record for record in ran if not record.verdict(selection).correct]
    if not ran or any(record.looped is None or record.traced is None for record in ran):
        return None
    theirs = {record.id: record.policy.decode_tokens for record in baseline if not record.failed}
    common = [record for record in ran if record.id in theirs]
    return Traces(
        ratio([theirs[r.id] for r in common], [r.policy.decode_tokens for r in common]),
        looped=sum(record.looped or 0 for record in ran),
        wrong=len(wrong),
        traced=sum(bool(record.traced) for record in wrong),
    )


def do_answers_change(rows: Sequence[Row]) -> str:
    """At which levels answers surely grow longer or shorter, and whether paths loop."""
    ratios = [(row, row.traces.token_ratio) for row in rows if row.traces]
    sure = [(row, r) for row, r in ratios if r and not r.low <= 1 <= r.high]
    if not any(r for _, r in ratios):
        return "Not measured: there is no baseline to compare the lengths with."
    worst = max(rows, key=_loop_share)
    loops = f"{percent(_loop_share(worst))} % of the paths of {method_name(worst)} at "
    loops = f"{loops}{short_level(worst)} loop" if _loop_share(worst) else "no path loops"
    if not sure:
        return f"Not that it shows: nowhere are answers surely longer or shorter; {loops}."
    levels = dict.fromkeys(short_level(row) for row, _ in sure)
    most = [max((s for s in sure if short_level(s[0]) == level), key=_apart) for level in levels]
    times = [f"{ratio_cell(r)} times at {short_level(row)} ({method_name(row)})" for row, r in most]
    return f"Yes, the tokens of full precision {listed(times)}; {loops}."


def trace_table(rows: Sequence[Row]) -> list[list[str]]:
    """Titles and a line a row."""
    lines = [
        [
            short_level(row),
            method_name(row),
            ratio_cell(row.traces.token_ratio),
            loop_cell(row),
            str(row.traces.wrong),
            traced_cell(row),
        ]
        for row in rows
        if row.traces
    ]
    return [list(TITLES), *lines]


def ratio_cell(found: Estimate | None) -> str:
    """A ratio with its interval: `1.12 [1.04, 1.20]`."""
    if found is None:
        return NONE
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def loop_cell(row: Row) -> str:
    """Share of the candidates that repeat themselves."""
    return percent(_loop_share(row)) if row.traces else NONE


def traced_cell(row: Row) -> str:
    """Share of the wrong answers whose right one was written."""
    found = row.traces
    return percent(found.traced / found.wrong, 0) if found and found.wrong else NONE


def _loop_share(row: Row) -> float:
    return row.traces.looped / max(1, row.counts.candidates) if row.traces else 0.0


def _apart(found: tuple[Row, Estimate]) -> float:
    return max(found[1].value, 1 / found[1].value)
