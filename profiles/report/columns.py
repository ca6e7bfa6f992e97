"""The columns of the main table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from profiles import tables
from profiles.intervals import OF_ACCURACIES
from profiles.report.names import method_name
from profiles.report.rows import Row
from profiles.report.traces import loop_cell, ratio_cell, traced_cell
from profiles.text_formats import (
    NONE,
    milliseconds,
    p_value,
    percent,
    points,
    significant,
    size,
    with_interval,
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: group and title, a sentence for people who ask, and its cell."""

    group: str
    title: str
    meaning: str
    cell: Callable[[Row], str]
    number: bool = True


def accuracy_cell(row: Row) -> str:
    """Accuracy with its interval."""
    return with_interval(
        percent(row.accuracy.value), row.accuracy.low, row.accuracy.high, sign=False
    )


def delta_cell(row: Row) -> str:
    """The difference to the baseline with its interval."""
    change = row.change
    if change is None:
        return NONE
    return with_interval(
        points(change.delta_accuracy), change.delta_low, change.delta_high, sign=True
    )


def flips_cell(row: Row) -> str:
    """Questions lost and won."""
    change = row.change
    return NONE if change is None else f"−{change.flips_lost} / +{change.flips_won}"


def mcnemar_cell(row: Row) -> str:
    """The p-value of the flips."""
    return p_value(row.change.mcnemar_p if row.change else None)


def truncated_cell(row: Row) -> str:
    """Candidates that were cut off, of all."""
    return f"{row.counts.truncated}/{row.counts.candidates}"


def prefill_cell(row: Row) -> str:
    """Prompt tokens a second."""
    return significant(row.cost.prefill_tok_per_s)


def rss_cell(row: Row) -> str:
    """Main memory at most."""
    return size(row.memory.peak_rss_bytes)


def vram_cell(row: Row) -> str:
    """Memory of cards at most."""
    return size(row.memory.peak_vram_bytes)


def tokens_cell(row: Row) -> str:
    """Evaluated tokens a question, policy and reward model."""
    policy = [
        row.cost.prompt_tokens_per_question,
        row.cost.decode_tokens_per_question,
        row.cost.thought_tokens_per_question,
    ]
    if row.cost.prompt_tokens_per_question is None:
        return NONE
    reward = row.cost.reward_tokens_per_question
    return f"{sum(value or 0 for value in policy):.0f} / {reward or 0:.0f}"


def thoughts_cell(row: Row) -> str:
    """Thought tokens a question, and at which share of the tokens there was a thought."""
    if row.cost.thought_share is None:
        return NONE
    return f"{row.cost.thought_tokens_per_question:.0f} at {percent(row.cost.thought_share, 0)} %"


def seconds_cell(row: Row) -> str:
    """Latency, median and 95th percentile."""
    return f"{significant(row.cost.latency_p50_s)} / {significant(row.cost.latency_p95_s)}"


def gflop_cell(row: Row) -> str:
    """Operations a question, marked as an estimate."""
    flops = row.cost.flops_per_question
    return NONE if flops is None else "≈ " + significant(flops / 1e9)


def reward_share_cell(row: Row) -> str:
    """The reward model's part of the operations."""
    if not row.cost.flops_per_question or not row.cost.reward_flops_per_question:
        return NONE
    return percent(row.cost.reward_flops_per_question / row.cost.flops_per_question, 0)


def kv_cell(row: Row) -> str:
    """The type of the KV cache; only GGUF files run with several."""
    return row.setup.kv_type if row.setup.format == "gguf" else NONE


def weights_cell(row: Row) -> str:
    """Sizes of the model files."""
    return size(row.memory.model_bytes) + (
        f" + {size(row.memory.reward_model_bytes)}" if row.memory.reward_model_bytes else ""
    )


A, C, S, M = "Accuracy", "Cost of a question", "Speed", "Memory"

COLUMNS: tuple[Column, ...] = (
    Column(
        "", "format", "File format, or torch for full precision.", lambda r: r.setup.format, False
    ),
    Column("", "level", "Quantization level of the policy.", lambda r: r.setup.level, False),
    Column("", "method", "Search, and how it chooses; its width.", method_name, False),
    Column("", "n", "Questions.", lambda r: str(r.n)),
    Column(A, "% right [95 % CI]", f"Flexible extraction; {OF_ACCURACIES}.", accuracy_cell),
    Column(
        A,
        "strict",
        "% right, explicitly marked answers only.",
        lambda r: percent(r.accuracy_strict),
    ),
    Column(
        A,
        "Δ points [95 % CI]",
        "Against the baseline with the same method, paired by question; Bonett-Price interval.",
        delta_cell,
    ),
    Column(A, "flips −/+", "Right in the baseline and wrong here / the other way.", flips_cell),
    Column(
        A,
        "McNemar p",
        "Exact, two-sided.",
        mcnemar_cell,
    ),
    Column(A, "unans.", "Questions without an answer.", lambda r: str(r.counts.unanswered)),
    Column(
        A,
        "cut off",
        "Candidates that a limit cut off.",
        truncated_cell,
    ),
    Column(C, "tokens policy / reward", "Evaluated tokens, prompt included.", tokens_cell),
    Column(C, "GFLOP (est.)", "Computed from counted tokens and shapes, both models.", gflop_cell),
    Column(C, "reward %", "The reward model's part of these operations.", reward_share_cell),
    Column(C, "s p50 / p95", "Wall time of one question.", seconds_cell),
    Column(
        S,
        "TTFT ms",
        "Median time to the first token's logits.",
        lambda r: milliseconds(r.cost.ttft_p50_s),
    ),
    Column(
        S,
        "prefill tok/s",
        "Policy, in the engine.",
        prefill_cell,
    ),
    Column(
        S,
        "decode tok/s",
        "Policy, all paths together, in the engine.",
        lambda r: significant(r.cost.decode_tok_per_s),
    ),
    Column(M, "model", "File sizes: policy + reward model.", weights_cell),
    Column(M, "peak RSS", "Of the process, both models in it.", rss_cell),
)
THOUGHTS = Column(
    C, "thought tokens", "Included in tokens; at which share of the tokens.", thoughts_cell
)
AT_ONCE = (
    Column(
        S,
        "at once",
        "Questions that were answered at once.",
        lambda r: str(r.at_once.parallel) if r.at_once else "1",
    ),
    Column(
        S,
        "questions/min",
        "Of the whole run, questions at once.",
        lambda r: significant(r.at_once.questions_per_min) if r.at_once else NONE,
    ),
    Column(
        S,
        "run tok/s",
        "Decoded by the policy in the whole run, questions at once.",
        lambda r: significant(r.at_once.run_tok_per_s) if r.at_once else NONE,
    ),
    Column(
        S,
        "alone: same",
        "Of the questions asked alone too, for latency and tok/s, those answered alike.",
        lambda r: f"{r.at_once.timed_same}/{r.at_once.timed}" if r.at_once else NONE,
    ),
)
OVER = Column(
    C,
    "over budget %",
    "Spent beyond the budget of an answer, on average.",
    lambda r: percent(r.cost.overshoot),
)
CACHE = Column("", "KV", "Type of the KV cache.", kv_cell, False)
VRAM = Column(M, "peak VRAM", "On the card, this process.", vram_cell)


WRITTEN = (
    Column(
        A,
        "tokens × [95 % CI]",
        "Decoded tokens over the baseline's with the same method, paired by question.",
        lambda r: ratio_cell(r.traces.token_ratio if r.traces else None),
    ),
    Column(A, "loops %", "Candidates that repeat themselves.", loop_cell),
    Column(
        A,
        "traced %",
        "Of the wrong answers, those whose right one stands in what some candidate wrote.",
        traced_cell,
    ),
)


def columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns that these rows need: VRAM with a card, thoughts where there are any."""
    shown = list(COLUMNS)
    if any(r.setup.kv_type != "f16" for r in rows):
        shown.insert(2, CACHE)
    if any(r.cost.thought_share is not None for r in rows):
        shown.insert(1 + [c.title for c in shown].index("tokens policy / reward"), THOUGHTS)
    if any(r.cost.overshoot is not None for r in rows):
        shown.insert([c.title for c in shown].index("s p50 / p95"), OVER)
    if any(r.traces for r in rows):
        place = [c.title for c in shown].index("tokens policy / reward")
        shown[place:place] = WRITTEN
    if any(r.at_once for r in rows):
        place = [c.title for c in shown].index("model")
        shown[place:place] = AT_ONCE
    return (
        (*shown, VRAM) if any(r.memory.peak_vram_bytes is not None for r in rows) else tuple(shown)
    )


def markdown_table(rows: Sequence[Row]) -> str:
    """The main table in Markdown."""
    shown = columns(rows)
    texts = sum(not column.number for column in shown)
    return tables.markdown_table(
        [c.title for c in shown], [[c.cell(row) for c in shown] for row in rows], texts
    )


def text_table(rows: Sequence[Row]) -> str:
    """The columns that fit a terminal."""
    titles = {"format", "level", "KV", "method", "n", "% right [95 % CI]", "Δ points [95 % CI]"}
    titles |= {"s p50 / p95", "decode tok/s", "peak RSS"}
    shown = [column for column in columns(rows) if column.title in titles]
    cells = [[c.title for c in shown]] + [[c.cell(row) for c in shown] for row in rows]
    return tables.aligned(cells, [c.number for c in shown])
