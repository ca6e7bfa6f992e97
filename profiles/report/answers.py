"""The questions that a reader has, each answered in one sentence that its intervals allow."""

from __future__ import annotations

from collections.abc import Sequence

from methods.catalog import METHODS, ProtocolName
from profiles.report.choice import RowChoice, eligible, latency
from profiles.report.gains import Gain
from profiles.report.names import level_name, method_name, row_name, short_level
from profiles.report.recovery import Recovery
from profiles.report.rows import Row
from profiles.report.thinking import Effect
from profiles.text_formats import (
    listed,
    percent,
    points,
    significant,
    with_interval,
)


def compared(rows: Sequence[Row]) -> list[Row]:
    """The rows that a matrix and a plot over levels show: each method's own choice, all fair."""
    fair = [row for row in rows if row.setup.protocol is ProtocolName.FAIR] or rows
    return [row for row in fair if row.setup.method in METHODS] or list(fair)


def does_quantization_cost(rows: Sequence[Row]) -> str:
    """Where accuracy was surely lost, and how much would have been seen elsewhere."""
    changes = [(row, row.change) for row in compared(rows) if row.change]
    if not changes:
        return "Nothing was measured twice: one level has nothing to be compared with."
    lost: dict[str, list[Row]] = {}
    for row, change in changes:
        if change.delta_high < 0:
            lost.setdefault(short_level(row), []).append(row)
    kept = [
        name for name in dict.fromkeys(short_level(row) for row, _ in changes) if name not in lost
    ]
    drops = [-c.delta_low for row, c in changes if short_level(row) in kept]
    rest = (
        f"at {listed(kept)} no loss was detected; drops above {percent(max(drops))} points would "
        "have been"
        if kept
        else "no level is without a loss"
    )
    if not lost:
        return f"Not that {rows[0].n} questions can show: {rest}."
    return f"Yes, at {listed([_loss(name, changes, lost[name]) for name in lost])}; {rest}."


def _loss(name: str, changes: Sequence[tuple[Row, object]], lost: Sequence[Row]) -> str:
    asked = sum(short_level(row) == name for row, _ in changes)
    worst = min(lost, key=_delta)
    share = "every method" if asked == len(lost) else f"{len(lost)} of {asked} methods"
    return f"{name} ({share}, {method_name(worst)} the most: {points(_delta(worst))} points)"


def _delta(row: Row) -> float:
    return row.change.delta_accuracy if row.change else 0.0


def does_search_pay(gains: Sequence[Gain]) -> str:
    """How often a search is surely above greedy decoding, and the best of them."""
    levels = list(dict.fromkeys(level_name(gain.row) for gain in gains))
    sure = [gain for gain in gains if gain.paired.low > 0]
    if not gains:
        return "Not measured: no level has both greedy decoding and a search."
    best = max(sure or gains, key=lambda gain: gain.paired.difference)
    if best.paired.difference <= 0:
        return "Not that it shows: nowhere is a search above greedy decoding."
    said = (
        f"{method_name(best.row)} at {short_level(best.row)} gains {_gained(best)} over greedy "
        f"decoding, for {significant(best.times, 2)} times the operations"
    )
    if not sure:
        return f"Not surely anywhere; at best {said}."
    where = len({level_name(gain.row) for gain in sure})
    return f"Yes, at {where} of {len(levels)} levels: {said}."


def _gained(gain: Gain) -> str:
    paired = gain.paired
    return with_interval(f"{points(paired.difference)} points", paired.low, paired.high, sign=True)


def does_search_take_it_back(recoveries: Sequence[Recovery]) -> str:
    """At the levels where greedy decoding surely lost: whether a search lost surely less."""
    lossy = [r for r in recoveries if r.lossy]
    if not recoveries:
        return "Not measured: that takes greedy decoding and a search, at full precision and below."
    if not lossy:
        return "There is nothing to take back: at no level was a loss of greedy decoding detected."
    said = []
    for level in dict.fromkeys(level_name(r.row) for r in lossy):
        here = [r for r in lossy if level_name(r.row) == level]
        best = max(here, key=lambda r: r.taken_back)
        loss = points(best.greedy.change.delta_accuracy if best.greedy.change else None)
        back = with_interval(points(best.taken_back), best.low, best.high, sign=True)
        name = f"of {loss} points at {short_level(best.row)}"
        if best.taken_back <= 0:
            said.append(f"{name} nothing comes back")
            continue
        sure = "" if best.low > 0 else "perhaps "
        said.append(f"{name} {method_name(best.row)} takes back {sure}{back}")
    head = "Yes" if any(r.low > 0 for r in lossy) else "Not surely"
    return f"{head}: {'; '.join(said)}."


def does_thinking_pay(effects: Sequence[Effect]) -> str:
    """Against the same search without thoughts, and against the best for as many operations."""
    same = [effect for effect in effects if effect.same]
    rivals = [effect for effect in effects if effect.rival]
    gained = [effect for effect in same if effect.same and effect.same.paired.low > 0]
    lost = [effect for effect in same if effect.same and effect.same.paired.high < 0]
    worth = [effect for effect in rivals if effect.rival and effect.rival.paired.low > 0]
    head = "Yes" if worth else "Not for its operations" if gained else "Not that it shows"
    return (
        f"{head}: of {len(same)} searches {len(gained)} surely gain by thinking and {len(lost)} "
        f"surely lose; {len(worth)} of {len(rivals)} surely beat the best search without thoughts "
        "for no more operations."
    )


def which_row(choice: RowChoice, rows: Sequence[Row]) -> str:
    """The row to use, whether its runner-up can be told from it, and a faster one."""
    pick, other = choice.pick, choice.runner_up
    said = f"{row_name(pick)}, {_most_accurate(pick, rows)}"
    if other is not None and choice.against is not None:
        told = "not told apart from" if choice.against.same else "surely above"
        said += f", {told} {row_name(other)}"
    if choice.thrifty is not None:
        times = significant(latency(pick) / latency(choice.thrifty), 2)
        said += (
            f"; as good as {pick.n} questions can tell, and {times} times as fast, is "
            f"{row_name(choice.thrifty)}"
        )
    return said + "."


def _most_accurate(pick: Row, rows: Sequence[Row]) -> str:
    """Among which rows it is: full precision, which is not chosen from, may be above it."""
    pool = eligible(rows)
    full = [row for row in compared(rows) if row not in pool]
    said = f"the most accurate of the {len(pool)} rows"
    if not full:
        return said
    best = max(full, key=lambda row: row.accuracy.value)
    if best.accuracy.value <= pick.accuracy.value:
        return f"{said} below full precision"
    return (
        f"{said} below full precision ({percent(pick.accuracy.value)} % right; there "
        f"{method_name(best)} has {percent(best.accuracy.value)} %)"
    )
