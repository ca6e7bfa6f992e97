"""Where search takes back what quantization lost, in sentences and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from profiles.report.columns import delta_cell
from profiles.report.names import level_name, method_name
from profiles.report.recovery import Recovery
from profiles.report.rows import Row
from profiles.text_formats import listed, percent, points, significant, with_interval

TITLES = (
    "level",
    "search",
    "greedy lost",
    "it lost",
    "taken back [95 % CI]",
    "% right",
    "against greedy in the baseline [95 % CI]",
    "times its operations",
)


def sentences(recoveries: Sequence[Recovery]) -> list[str]:
    """One for every level at which greedy decoding surely lost, one for all others."""
    levels = dict.fromkeys(level_name(r.row) for r in recoveries)
    lossy = dict.fromkeys(level_name(r.row) for r in recoveries if r.lossy)
    found = [_sentence([r for r in recoveries if level_name(r.row) == level]) for level in lossy]
    if kept := [level for level in levels if level not in lossy]:
        found.append(f"At {listed(kept)} no loss of greedy decoding was detected to take back.")
    return found


def table(recoveries: Sequence[Recovery]) -> list[list[str]]:
    """Titles and a line for every search at the levels where greedy decoding surely lost."""
    lines = [
        [
            level_name(r.row),
            method_name(r.row),
            _loss(r.greedy),
            _loss(r.row),
            with_interval(points(r.taken_back), r.low, r.high, sign=True),
            percent(r.row.accuracy.value),
            _against(r),
            significant(_times(r), 2),
        ]
        for r in recoveries
        if r.lossy
    ]
    return [list(TITLES), *lines] if lines else []


def _sentence(level: Sequence[Recovery]) -> str:
    loss = delta_cell(level[0].greedy)
    sure = [
        f"{method_name(r.row)} " + with_interval(points(r.taken_back), r.low, r.high, sign=True)
        for r in level
        if r.low > 0
    ]
    taken = f"{listed(sure)} taken back" if sure else "none of it surely taken back"
    above = [f"{method_name(r.row)} ({_against(r)})" for r in level if r.against_full.low > 0]
    below = [method_name(r.row) for r in level if r.against_full.high < 0]
    level_with = [
        method_name(r.row) for r in level if r.against_full.low <= 0 <= r.against_full.high
    ]
    standing = [
        f"{what} greedy decoding in the baseline: {listed(names)}."
        for what, names in (("Above", above), ("No different from", level_with), ("Below", below))
        if names
    ]
    return f"{level_name(level[0].row)}: greedy {loss}; {taken}. {' '.join(standing)}"


def _against(r: Recovery) -> str:
    paired = r.against_full
    return with_interval(points(paired.difference), paired.low, paired.high, sign=True)


def _times(r: Recovery) -> float | None:
    """Operations of the search over those of greedy decoding in the baseline."""
    ours, theirs = r.row.cost.flops_per_question, r.full.cost.flops_per_question
    return ours / theirs if ours and theirs else None


def _loss(row: Row) -> str:
    return points(row.change.delta_accuracy if row.change else None)
