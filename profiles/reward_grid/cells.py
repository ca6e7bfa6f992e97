"""One policy level under one reward level, against full-precision reward on the same solutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convert.artifact import Aggregation
from profiles.reward_grid.reward_changes import (
    Gold,
    Scored,
    accuracies,
    allocations,
    rank_correlation,
    score_error,
    step_auc,
)


@dataclass(frozen=True, slots=True)
class RewardCell:
    """One line. Bounds are 95 % intervals: over problems, resampled; accuracies as everywhere.

    `score_error` is the mean absolute change of a step's score. `kendall_tau` compares the order of
    the solutions inside a problem, where both models tell some apart. `widths_changed` is the share
    of stages whose REBASE allocation is another one, `children_moved` the share of children.
    """

    policy_model: str
    policy_level: str
    reward_model: str
    reward_level: str
    reward_format: str
    reward_bits_per_weight: float
    reward_size_bytes: int
    baseline: bool
    problems: int
    solutions: int
    steps: int
    accuracy_majority: float
    accuracy_weighted: float
    accuracy_weighted_low: float
    accuracy_weighted_high: float
    accuracy_best: float
    accuracy_best_low: float
    accuracy_best_high: float
    labelled_steps: int
    step_auc: float | None = None
    step_auc_change: float | None = None
    step_auc_change_low: float | None = None
    step_auc_change_high: float | None = None
    score_error: float | None = None
    score_error_low: float | None = None
    score_error_high: float | None = None
    kendall_tau: float | None = None
    kendall_tau_low: float | None = None
    kendall_tau_high: float | None = None
    kendall_problems: int | None = None
    widths_changed: float | None = None
    widths_changed_low: float | None = None
    widths_changed_high: float | None = None
    children_moved: float | None = None
    answers_changed_weighted: float | None = None
    answers_changed_best: float | None = None
    delta_weighted: float | None = None
    delta_weighted_low: float | None = None
    delta_weighted_high: float | None = None
    weighted_mcnemar_p: float | None = None
    delta_best: float | None = None
    delta_best_low: float | None = None
    delta_best_high: float | None = None
    best_mcnemar_p: float | None = None


def cell(
    ours: Scored, base: Scored, gold: Gold, aggregation: Aggregation, balance: float
) -> RewardCell:
    """The line of `ours`; it is the baseline's own where both are the same."""
    is_base = ours is base
    values: dict[str, Any] = {
        "policy_model": ours.policy.name,
        "policy_level": ours.policy.level,
        "reward_model": ours.reward.name,
        "reward_level": ours.reward.level,
        "reward_format": ours.reward.format,
        "reward_bits_per_weight": ours.reward.bits_per_weight,
        "reward_size_bytes": ours.reward.size_bytes,
        "baseline": is_base,
        "problems": len(ours.pools),
        "solutions": sum(map(len, ours.candidates)),
        "steps": sum(len(steps) for p in range(len(ours.pools)) for steps in ours.step_scores(p)),
    }
    values |= accuracies(ours, None if is_base else base, aggregation)
    values |= step_auc(ours, None if is_base else base, gold)
    if not is_base:
        values |= score_error(ours, base)
        values |= rank_correlation(ours, base, aggregation)
        values |= allocations(ours, base, balance)
    return RewardCell(**values)
