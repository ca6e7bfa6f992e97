"""One row of a run to use, under limits: why this one, and what ruled out better ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convert.files import regular
from convert.refusal import Refusal
from convert.typed import typed
from convert.units import GIB
from methods.budget import WORDS, Budget, Unit, amount_text
from profiles.flat_rows import flat, nested
from profiles.report.choice import choose, order
from profiles.report.names import row_name
from profiles.report.row_comparison import Judge, RowComparison, by_intervals
from profiles.report.rows import Row
from profiles.stored_json import load
from runtime.footprint import ASSUMED_COMPUTE_BYTES, MARGIN_BYTES

SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class RowLimits:
    """What an answer may take; None is no limit."""

    vram_bytes: int | None = None  # size of the card
    ram_bytes: int | None = None  # peak resident set
    latency_s: float | None = None  # 95th percentile of a question
    accuracy: float | None = None  # share of right answers at least
    budget: Budget | None = None  # of a question on average


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that a row does not keep. `excess` is relative to the limit; inf where unknown."""

    text: str
    excess: float


@dataclass(frozen=True, slots=True)
class Ruled:
    """A row and the limits that it breaks."""

    row: Row
    breaches: tuple[Breach, ...]
    against: RowComparison  # the pick


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The pick. `thrifty` is the fastest row that cannot be told from it, if much faster.

    `better` are rows that were more accurate, the most accurate first, with what ruled them out.
    """

    pick: Row
    runner_up: Row | None
    against: RowComparison | None  # the pick against the runner-up
    thrifty: Row | None
    better: tuple[Ruled, ...]
    qualified: int
    measured: int


@dataclass(frozen=True, slots=True)
class SummaryRows:
    """What is read of summary.json, flat; fields of other versions are passed over."""

    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Rows:
    rows: list[Row]


def read_rows(folder: Path) -> list[Row]:
    """The rows of a run's summary.

    Raises:
        FileNotFoundError: if the folder holds no summary.
        Refusal: if the summary is broken, of another version, or empty.
    """
    path = folder / SUMMARY
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; make it with profile run or profile report"
        )
    what = f"a summary of this version; render it again with profile report {folder}"
    content = regular(path).read_bytes()
    load(content, str(path), what)
    tables = typed(SummaryRows, content, f"{path} is not {what}").rows
    parts = {"rows": [nested(Row, table) for table in tables]}
    rows = typed(_Rows, json.dumps(parts).encode(), f"{path} is not {what}").rows
    if not rows:
        raise Refusal(f"{path} holds no rows")
    return rows


def recommend(
    rows: Sequence[Row], limits: RowLimits, judge: Judge = by_intervals
) -> Recommendation:
    """The most accurate row within the limits; of equals the fastest, then the smallest.

    Raises:
        Refusal: if no row keeps the limits; names the nearest and what it breaks.
    """
    broken = {n: tuple(breaches(row, limits)) for n, row in enumerate(rows)}
    kept = [rows[n] for n, found in broken.items() if not found]
    if not kept:
        raise Refusal(_nothing([(rows[n], found) for n, found in broken.items()]))
    choice = choose(kept, judge)
    pick = choice.pick
    better = [
        Ruled(rows[n], found, judge(rows[n], pick))
        for n, found in broken.items()
        if found and rows[n].accuracy.value > pick.accuracy.value
    ]
    return Recommendation(
        pick=pick,
        runner_up=choice.runner_up,
        against=choice.against,
        thrifty=choice.thrifty,
        better=tuple(sorted(better, key=lambda ruled: order(ruled.row))),
        qualified=len(kept),
        measured=len(rows),
    )


def breaches(row: Row, limits: RowLimits) -> Iterator[Breach]:
    """The limits that a row breaks. What was not measured cannot keep a limit."""
    if limits.latency_s is not None:
        yield from _breach("p95", row.cost.latency_p95_s, limits.latency_s, " s")
    if limits.vram_bytes is not None:
        yield from _breach("needs", card_bytes(row), limits.vram_bytes, " GiB of card")
    if limits.ram_bytes is not None:
        yield from _breach("peak RSS", row.memory.peak_rss_bytes, limits.ram_bytes, " GiB")
    if limits.budget is not None:
        yield from _over_budget(row, limits.budget)
    if limits.accuracy is not None and row.accuracy.value < limits.accuracy:
        short = (limits.accuracy - row.accuracy.value) / limits.accuracy
        text = f"{100 * row.accuracy.value:.1f} % right is below {100 * limits.accuracy:g} %"
        yield Breach(text, short)


def _breach(what: str, value: float | None, limit: float, unit: str) -> Iterator[Breach]:
    if value is None:
        yield Breach(f"{what}{unit}: not measured", float("inf"))
    elif value > limit:
        scale = GIB if "GiB" in unit else 1
        text = f"{what} {value / scale:.3g}{unit} is above {limit / scale:g}"
        yield Breach(text, value / limit - 1)


def _over_budget(row: Row, budget: Budget) -> Iterator[Breach]:
    cost = cost_of(row, budget.unit)
    if cost is None:
        yield Breach(f"{WORDS[budget.unit]} of a question: not measured", float("inf"))
    elif cost > budget.amount:
        said = f"{amount_text(cost, budget.unit)} a question are above {budget}"
        yield Breach(said, cost / budget.amount - 1)


def cost_of(row: Row, unit: Unit) -> float | None:
    """What a question took on average, in the unit of a budget; None where it was not measured."""
    cost = row.cost
    if unit == "s":
        return cost.latency_mean_s
    if unit == "T":
        return None if cost.flops_per_question is None else cost.flops_per_question / 1e12
    tokens = cost.prompt_tokens_per_question, cost.decode_tokens_per_question
    hidden = cost.thought_tokens_per_question, cost.reward_tokens_per_question
    return None if None in tokens else sum(n or 0.0 for n in (*tokens, *hidden))


def card_bytes(row: Row) -> int | None:
    """Bytes of a card that a row takes: measured, else foretold, else estimated.

    The forecast is that of `profile plan` for every layer on the card. What recorded none, a run of
    an earlier version or ONNX, is estimated from its files and KV caches. All leave a GiB for the
    driver and the desktop. None for torch that was not measured on a card.
    """
    if row.memory.peak_vram_bytes is not None:
        return row.memory.peak_vram_bytes + MARGIN_BYTES
    if row.memory.foretold_card_bytes is not None:
        return row.memory.foretold_card_bytes + MARGIN_BYTES
    if row.setup.format == "torch":
        return None
    models = 2 if row.memory.reward_model_bytes else 1
    files = row.memory.file_bytes
    return files + row.memory.kv_bytes + models * ASSUMED_COMPUTE_BYTES + MARGIN_BYTES


def card_bytes_source(row: Row) -> str:
    """Where `card_bytes` comes from."""
    if row.memory.peak_vram_bytes is not None:
        return "measured"
    foretold = row.memory.foretold_card_bytes is not None
    return "forecast from its tensors" if foretold else "estimated from file sizes"


def document(found: Recommendation, limits: RowLimits) -> dict[str, Any]:
    """A recommendation as JSON data."""
    return {
        "limits": asdict(limits),
        "pick": flat(found.pick),
        "card_bytes": card_bytes(found.pick),
        "card_bytes_measured": found.pick.memory.peak_vram_bytes is not None,
        "runner_up": None if found.runner_up is None else flat(found.runner_up),
        "against_runner_up": None if found.against is None else asdict(found.against),
        "thrifty": None if found.thrifty is None else flat(found.thrifty),
        "ruled_out": [
            {
                "row": flat(ruled.row),
                "reasons": [breach.text for breach in ruled.breaches],
                "against_pick": asdict(ruled.against),
            }
            for ruled in found.better
        ],
        "qualified": found.qualified,
        "measured": found.measured,
    }


def _nothing(judged: Sequence[tuple[Row, tuple[Breach, ...]]]) -> str:
    row, broken = min(judged, key=lambda j: (max(b.excess for b in j[1]), order(j[0])))
    reasons = " and ".join(breach.text for breach in broken)
    return (
        f"none of {len(judged)} measured rows qualifies; nearest: {row_name(row)}, "
        f"{100 * row.accuracy.value:.1f} % right, but {reasons}"
    )
