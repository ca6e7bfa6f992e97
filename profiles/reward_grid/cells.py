"""One policy level under one reward level, against full-precision reward on the same solutions."""

from __future__ import annotations

from dataclasses import dataclass

from convert.artifact import Aggregation
from profiles.intervals import Estimate
from profiles.reward_grid.reward_changes import (
    AllocationChange,
    Gold,
    OrderChange,
    Scored,
    StepAuc,
    VoteAccuracies,
    VoteChanges,
    accuracies,
    allocations,
    rank_correlation,
    score_error,
    step_auc,
    vote_changes,
)


@dataclass(frozen=True, slots=True)
class RewardChange:
    """A reward model against itself at full precision.

    `score_error` is the mean absolute change of a step's score.
    """

    score_error: Estimate | None
    order: OrderChange
    allocation: AllocationChange
    votes: VoteChanges


@dataclass(frozen=True, slots=True)
class RewardCell:
    """One line. Bounds are 95 % intervals: over problems, resampled; accuracies as everywhere."""

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
    accuracy: VoteAccuracies
    labels: StepAuc
    change: RewardChange | None = None  # None for the baseline


def cell(
    ours: Scored, base: Scored, gold: Gold, aggregation: Aggregation, balance: float
) -> RewardCell:
    """The line of `ours`; it is the baseline's own where both are the same."""
    is_base = ours is base
    return RewardCell(
        policy_model=ours.policy.name,
        policy_level=ours.policy.level,
        reward_model=ours.reward.name,
        reward_level=ours.reward.level,
        reward_format=ours.reward.format,
        reward_bits_per_weight=ours.reward.bits_per_weight,
        reward_size_bytes=ours.reward.size_bytes,
        baseline=is_base,
        problems=len(ours.pools),
        solutions=sum(map(len, ours.candidates)),
        steps=sum(len(steps) for p in range(len(ours.pools)) for steps in ours.step_scores(p)),
        accuracy=accuracies(ours, aggregation),
        labels=step_auc(ours, None if is_base else base, gold),
        change=None if is_base else _change(ours, base, aggregation, balance),
    )


def _change(ours: Scored, base: Scored, aggregation: Aggregation, balance: float) -> RewardChange:
    return RewardChange(
        score_error(ours, base),
        rank_correlation(ours, base, aggregation),
        allocations(ours, base, balance),
        vote_changes(ours, base, aggregation),
    )
