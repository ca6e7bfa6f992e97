"""The reward grid as a table, and how few bits the reward model needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from methods.catalog import BEST_OF_N, WEIGHTED
from profiles.documents import Document
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
VOTES = ((WEIGHTED.name, "weighted vote"), ("best", BEST_OF_N.name))


def document(cells: Sequence[RewardCell], header: Mapping[str, Any]) -> Document:
    """The grid in all its forms."""
    return Document(
        "Quantization of the reward model",
        header,
        [asdict(c) for c in cells],
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
        head += (
            f"down to {_level(least)} no drop detected in either vote; drops above "
            f"{listed([_limit(least, name, title) for name, title in VOTES])} would have been"
        )
    lost = [f"{_level(c)} loses {listed(losses(c))}" for c in levels if losses(c)]
    return "; ".join([head, *lost]) + "."


def losses(c: RewardCell) -> list[str]:
    """Votes whose whole interval lies below zero, as clauses."""
    found = []
    for name, title in VOTES:
        change, low, high, p = _paired(c, name)
        if high is not None and high < 0:
            interval = f"[{points(low)}, {points(high)}], {chance(p)}"
            found.append(f"{percent(-(change or 0))} points {interval} in the {title}")
    return found


def _basis(c: RewardCell) -> str:
    labels = f"; {c.labelled_steps} steps have labels" if c.labelled_steps else ""
    return (
        f"Every reward model scores the same solutions: {c.problems} problems, {c.solutions} "
        f"solutions of each policy level (the first level: {c.steps} steps{labels}). The baseline "
        f"is {c.reward_model} at {c.reward_level}."
    )


def _limit(c: RewardCell, name: str, title: str) -> str:
    _, low, _, _ = _paired(c, name)
    return f"{percent(-(low or 0))} points in the {title}"


def _paired(
    c: RewardCell, name: str
) -> tuple[float | None, float | None, float | None, float | None]:
    """Difference, bounds and p-value of a vote."""
    if name == WEIGHTED.name:
        return c.delta_weighted, c.delta_weighted_low, c.delta_weighted_high, c.weighted_mcnemar_p
    return c.delta_best, c.delta_best_low, c.delta_best_high, c.best_mcnemar_p


def _level(c: RewardCell) -> str:
    return f"{c.reward_level} ({significant(c.reward_bits_per_weight)} bits per weight)"


def _line(c: RewardCell) -> list[str]:
    reward = f"{c.reward_level} (baseline)" if c.baseline else c.reward_level
    auc = NONE if c.step_auc is None else f"{c.step_auc:.4f}"
    cells = [c.policy_level, reward, significant(c.reward_bits_per_weight)]
    if c.baseline:
        return [
            *(*cells, NONE, NONE, auc, NONE, NONE, NONE, percent(c.accuracy_weighted)),
            *(NONE, percent(c.accuracy_best), NONE),
        ]
    changed = f"{percent(c.answers_changed_weighted)} / {percent(c.answers_changed_best)}"
    return [
        *cells,
        significant(c.score_error, 2),
        NONE if c.kendall_tau is None else f"{c.kendall_tau:.3f}",
        auc,
        _auc_change(c),
        f"{percent(c.widths_changed)} / {percent(c.children_moved)}",
        changed,
        percent(c.accuracy_weighted),
        _delta(c, WEIGHTED.name),
        percent(c.accuracy_best),
        _delta(c, "best"),
    ]


def _auc_change(c: RewardCell) -> str:
    found = (c.step_auc_change, c.step_auc_change_low, c.step_auc_change_high)
    if found[0] is None or found[1] is None or found[2] is None:
        return NONE
    return f"{signed(found[0], 4)} [{signed(found[1], 4)}, {signed(found[2], 4)}]"


def _delta(c: RewardCell, name: str) -> str:
    change, low, high, _ = _paired(c, name)
    return f"{points(change)} [{points(low)}, {points(high)}]"
