"""The reward grid as a table, and how few bits the reward model needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from methods.catalog import BEST_OF_N, WEIGHTED
from profiles.documents import Document
from profiles.flat_rows import flat
from profiles.intervals import Estimate
from profiles.reward_grid.cells import RewardCell
from profiles.text_formats import NONE, chance, listed, percent, points, signed, significant

TITLES = (
    "policy",
    "reward",
    "bits/weight",
    "score error",
    "Kendall τ",
    "step AUC",
    "Δ AUC [95 % CI]",
    "widths changed / children moved %",
    "answers changed %, vote / best",
    "weighted %",
    "Δ points [95 % CI]",
    "best-of-n %",
    "Δ points [95 % CI]",
)


def document(cells: Sequence[RewardCell], header: Mapping[str, Any]) -> Document:
    """The grid in all its forms."""
    return Document(
        "Quantization of the reward model",
        header,
        [flat(c) for c in cells],
        [TITLES, *map(_line, cells)],
        findings(cells),
        texts=2,
    )


def findings(cells: Sequence[RewardCell]) -> list[str]:
    """What the reward model may lose, policy by policy."""
    policies = dict.fromkeys((c.policy_model, c.policy_level) for c in cells)
    said = [_basis(cells[0])]
    compared = 0
    for policy in policies:
        row = [c for c in cells if (c.policy_model, c.policy_level) == policy]
        compared += 2 * sum(not c.baseline for c in row)
        said.append(answer(row))
    if compared > 2:
        said.append(
            f"These are {compared} comparisons at 95 % confidence: about one in twenty intervals "
            "misses the truth by chance."
        )
    said.append(
        "Widths are counted as if the sampled solutions were a REBASE tree: a real tree would "
        "have grown differently after the first change. For widths and order, scores that agree "
        "to 0.0001 are equal."
    )
    return said


def answer(row: Sequence[RewardCell]) -> str:
    """How few bits the reward model needs for one policy level; `row` holds its baseline."""
    base = next(c for c in row if c.baseline)
    levels = sorted(
        (c for c in row if not c.baseline), key=lambda c: c.reward_bits_per_weight, reverse=True
    )
    good: list[RewardCell] = []
    for c in levels:
        if losses(c):
            break
        good.append(c)
    head = f"Policy {base.policy_level}: "
    if not good:
        head += f"no level of the reward model keeps up with {base.reward_level}"
    else:
        least = good[-1]
        limits = [f"{percent(-delta.low)} points in the {t}" for t, delta, _ in _votes(least)]
        head += (
            f"down to {_level(least)} no drop detected in either vote; drops above "
            f"{listed(limits)} would have been"
        )
    lost = [f"{_level(c)} loses {listed(losses(c))}" for c in levels if losses(c)]
    return "; ".join([head, *lost]) + "."


def losses(c: RewardCell) -> list[str]:
    """Votes whose whole interval lies below zero, as clauses."""
    found = []
    for title, delta, p in _votes(c):
        if delta.high < 0:
            interval = f"[{points(delta.low)}, {points(delta.high)}], {chance(p)}"
            found.append(f"{percent(-delta.value)} points {interval} in the {title}")
    return found


def _basis(c: RewardCell) -> str:
    labels = f"; {c.labels.labelled_steps} steps have labels" if c.labels.labelled_steps else ""
    return (
        f"Every reward model scores the same solutions: {c.problems} problems, {c.solutions} "
        f"solutions of each policy level (the first level: {c.steps} steps{labels}). The baseline "
        f"is {c.reward_model} at {c.reward_level}."
    )


def _votes(c: RewardCell) -> list[tuple[str, Estimate, float]]:
    """Name, paired difference and p-value of both votes; none for the baseline."""
    if c.change is None:
        return []
    votes = c.change.votes
    return [
        (f"{WEIGHTED.name} vote", votes.delta_weighted, votes.weighted_mcnemar_p),
        (BEST_OF_N.name, votes.delta_best, votes.best_mcnemar_p),
    ]


def _level(c: RewardCell) -> str:
    return f"{c.reward_level} ({significant(c.reward_bits_per_weight)} bits per weight)"


def _line(c: RewardCell) -> list[str]:
    reward = f"{c.reward_level} (baseline)" if c.baseline else c.reward_level
    auc = NONE if c.labels.step_auc is None else f"{c.labels.step_auc:.4f}"
    cells = [c.policy_level, reward, significant(c.reward_bits_per_weight)]
    weighted = percent(c.accuracy.accuracy_weighted.value)
    best = percent(c.accuracy.accuracy_best.value)
    if c.change is None:
        return [*cells, NONE, NONE, auc, NONE, NONE, NONE, weighted, NONE, best, NONE]
    error, order, allocation = c.change.score_error, c.change.order, c.change.allocation
    votes, widths = c.change.votes, allocation.widths_changed
    return [
        *cells,
        NONE if error is None else significant(error.value, 2),
        NONE if order.kendall_tau is None else f"{order.kendall_tau.value:.3f}",
        auc,
        _auc_change(c.labels.step_auc_change),
        f"{percent(widths.value if widths else None)} / {percent(allocation.children_moved)}",
        f"{percent(votes.answers_changed_weighted)} / {percent(votes.answers_changed_best)}",
        weighted,
        _delta(votes.delta_weighted),
        best,
        _delta(votes.delta_best),
    ]


def _auc_change(found: Estimate | None) -> str:
    if found is None:
        return NONE
    return f"{signed(found.value, 4)} [{signed(found.low, 4)}, {signed(found.high, 4)}]"


def _delta(found: Estimate) -> str:
    return f"{points(found.value)} [{points(found.low)}, {points(found.high)}]"
