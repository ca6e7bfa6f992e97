"""One line of the summary: a configuration under one way of choosing the answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from methods.catalog import ProtocolName
from runtime.options import Thinking


@dataclass(frozen=True, slots=True)
class Row:
    """Means are per question that ran; accuracies count failed questions as wrong.

    None is what does not apply: a comparison of the baseline with itself, memory on a card that is
    not there, the latency of a configuration in which nothing ran.
    """

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
    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    accuracy_strict: float
    delta_accuracy: float | None
    delta_low: float | None
    delta_high: float | None
    paired_n: int | None
    flips_lost: int | None
    flips_won: int | None
    mcnemar_p: float | None
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
    model_bytes: int
    reward_model_bytes: int
    bits_per_weight: float
    kv_bytes: int
    peak_rss_bytes: int
    peak_vram_bytes: int | None
    load_s: float
    unanswered: int  # questions without an answer
    failed: int  # of them, questions that did not run
    truncated: int  # candidates that a limit cut off
    candidates: int
    dropped: int  # scored candidates that got no children
    model: str
    device: str

    def document(self) -> dict[str, Any]:
        return asdict(self)
