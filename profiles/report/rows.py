"""One line of the summary: a configuration under one way of choosing the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from methods.catalog import ProtocolName
from profiles.flat_rows import flat, names
from profiles.intervals import Estimate
from runtime.options import KvType, Thinking


@dataclass(frozen=True, slots=True)
class Setup:
    """What ran."""

    format: str
    level: str
    reward_level: str | None
    method: str  # as `methods.catalog.shown_name` says
    search: str
    thinking: Thinking
    protocol: ProtocolName
    width: int
    seed: int
    baseline: bool
    kv_type: KvType = "f16"


@dataclass(frozen=True, slots=True)
class Change:
    """Against the baseline with the same method, paired by question."""

    delta_accuracy: float
    delta_low: float
    delta_high: float
    paired_n: int
    flips_lost: int
    flips_won: int
    mcnemar_p: float

    @property
    def holds_zero(self) -> bool:
        return self.delta_low <= 0 <= self.delta_high


@dataclass(frozen=True, slots=True)
class Cost:
    """Means of the questions that ran; None where there is nothing to divide by."""

    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_mean_s: float | None
    ttft_p50_s: float | None
    prefill_tok_per_s: float | None
    decode_tok_per_s: float | None
    sampling_share: float | None  # of latency
    prompt_tokens_per_question: float | None
    decode_tokens_per_question: float | None
    thought_tokens_per_question: float | None
    thought_share: float | None  # of the tokens that a thinking engine could think after
    reward_tokens_per_question: float | None
    flops_per_question: float | None
    policy_flops_per_question: float | None
    reward_flops_per_question: float | None
    seed_flops_per_question: float | None  # by the formula of arXiv 2412.16260
    overshoot: float | None = None  # beyond the budget of an answer, as a share of it

    @property
    def gflop(self) -> float:
        """Of a question, 0 where nothing ran."""
        return (self.flops_per_question or 0) / 1e9


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. The peaks are of the whole process, the reward model in it whoever is charged."""

    model_bytes: int
    reward_model_bytes: int
    bits_per_weight: float
    kv_bytes: int
    peak_rss_bytes: int
    peak_vram_bytes: int | None  # None without a card
    load_s: float
    foretold_card_bytes: int | None = None  # every layer on a card; None: no GGUF, or not recorded

    @property
    def file_bytes(self) -> int:
        """Of both models."""
        return self.model_bytes + self.reward_model_bytes


@dataclass(frozen=True, slots=True)
class Counts:
    """What went wrong, in questions and candidates."""

    unanswered: int  # questions without an answer
    failed: int  # of them, questions that did not run
    truncated: int  # candidates that a limit cut off
    candidates: int
    dropped: int  # scored candidates that got no children


@dataclass(frozen=True, slots=True)
class Traces:
    """What was written on the way to the answers."""

    token_ratio: Estimate | None  # decoded tokens over the baseline's, paired by question
    looped: int  # candidates that repeat themselves
    wrong: int  # questions that ran, and were answered wrong
    traced: int  # of them, those whose right answer stands in what some candidate wrote


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Many questions at once: the whole run by the clock. Latency is of those asked alone too."""

    parallel: int  # questions at once
    timed: int  # questions that were asked alone too
    timed_same: int  # of them, those answered alike
    questions_per_min: float | None
    run_tok_per_s: float | None  # decoded by the policy


@dataclass(frozen=True, slots=True)
class Row:
    """One line; `flat_rows` has it as summary.json does. Failed questions count as wrong."""

    setup: Setup
    n: int
    accuracy: Estimate
    accuracy_strict: float
    change: Change | None  # None for the baseline, and without one
    cost: Cost
    memory: Memory
    counts: Counts
    model: str
    device: str
    traces: Traces | None = None  # None where an earlier version ran
    at_once: AtOnce | None = None  # None where questions were asked one by one


def flat_lines(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as summary.json has them; what only some runs measure only where one did."""
    absent = ["kv_type"] if all(row.setup.kv_type == "f16" for row in rows) else []
    if all(row.memory.foretold_card_bytes is None for row in rows):
        absent.append("foretold_card_bytes")
    if all(row.cost.overshoot is None for row in rows):
        absent.append("overshoot")
    if not any(row.at_once for row in rows):
        absent += names(AtOnce)
    if not any(row.traces for row in rows):
        absent += names(Traces)
    lines = [flat(row) for row in rows]
    return [{k: v for k, v in line.items() if k not in absent} for line in lines]
