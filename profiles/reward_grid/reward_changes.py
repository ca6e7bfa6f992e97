"""What quantizing a reward model changes in scores, orders, allocations and answers.

Every measure returns fields of a `RewardCell`. Bounds are 95 % intervals over resampled problems,
since the solutions of one problem depend on each other; those of accuracies are as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, rankdata

from convert.artifact import Aggregation
from methods.allocate import allocate
from methods.candidate import AGGREGATIONS, Candidate
from methods.catalog import BEST_OF_N, MAJORITY, SELECTIONS, WEIGHTED
from methods.selection import select
from profiles.intervals import compare, wilson
from profiles.opened_model import OpenedModel
from profiles.reward_grid.candidate_pool import Pool
from profiles.reward_grid.step_labels import label_steps

RESAMPLES = 500
TIE_DIGITS = 4  # scores are told apart to 0.0001: below that rounding decides, not the weights
VOTES = [(SELECTIONS[row.selection].suffix, row.selection) for row in (WEIGHTED, BEST_OF_N)]

Floats = npt.NDArray[np.float64]
Draw = npt.NDArray[np.int64]
Gold = dict[str, tuple[int, ...]]  # values of the gold steps by problem id; empty: no labels


@dataclass(frozen=True, slots=True)
class Scored:
    """All pools of a policy level as one reward model sees them; candidates by problem."""

    policy: OpenedModel
    reward: OpenedModel
    pools: Sequence[Pool]
    candidates: Sequence[Sequence[Candidate]]

    def step_scores(self, problem: int) -> list[tuple[float, ...]]:
        """Scores of the sampled steps of each solution, the answer asked for left out."""
        pairs = zip(self.candidates[problem], self.pools[problem].solutions, strict=True)
        return [c.scores[: len(s.steps)] for c, s in pairs]


def accuracies(ours: Scored, base: Scored | None, aggregation: Aggregation) -> dict[str, Any]:
    """Of votes on the same solutions; paired with full-precision reward by problem."""
    gold = [pool.problem.gold for pool in ours.pools]
    majority = [select(c, MAJORITY.selection) for c in ours.candidates]
    values: dict[str, Any] = {"accuracy_majority": float(np.mean(_right(majority, gold)))}
    for name, selection in VOTES:
        answers = [select(c, selection, aggregation) for c in ours.candidates]
        right = _right(answers, gold)
        low, high = wilson(sum(right), len(right))
        values |= {
            f"accuracy_{name}": float(np.mean(right)),
            f"accuracy_{name}_low": low,
            f"accuracy_{name}_high": high,
        }
        if base is not None:
            before = [select(c, selection, aggregation) for c in base.candidates]
            paired = compare(_right(before, gold), right)
            changed = [a != b for a, b in zip(before, answers, strict=True)]
            values |= {
                f"answers_changed_{name}": float(np.mean(changed)),
                f"delta_{name}": paired.difference,
                f"delta_{name}_low": paired.low,
                f"delta_{name}_high": paired.high,
                f"{name}_mcnemar_p": paired.mcnemar_p,
            }
    return values


def _right(answers: Sequence[str | None], gold: Sequence[str | None]) -> list[bool]:
    return [a is not None and a == g for a, g in zip(answers, gold, strict=True)]


def score_error(ours: Scored, base: Scored) -> dict[str, Any]:
    """The mean absolute change of a step's score."""
    sums, counts = [], []
    for problem in range(len(ours.pools)):
        here = [x for steps in ours.step_scores(problem) for x in steps]
        there = [x for steps in base.step_scores(problem) for x in steps]
        sums.append(sum(abs(a - b) for a, b in zip(here, there, strict=True)))
        counts.append(len(here))
    return _ratio("score_error", sums, counts)


def rank_correlation(ours: Scored, base: Scored, aggregation: Aggregation) -> dict[str, Any]:
    """Kendall's tau-b of the solutions' order inside a problem, where both tell some apart."""
    aggregate = AGGREGATIONS[aggregation]
    taus = []
    for here, there in zip(ours.candidates, base.candidates, strict=True):
        a, b = ([round(aggregate(c.scores), TIE_DIGITS) for c in found] for found in (here, there))
        if len(set(a)) > 1 and len(set(b)) > 1:
            taus.append(float(kendalltau(a, b).statistic))
    if not taus:
        return {"kendall_problems": 0}
    return _ratio("kendall_tau", taus, [1] * len(taus)) | {"kendall_problems": len(taus)}


def allocations(ours: Scored, base: Scored, balance: float) -> dict[str, Any]:
    """Allocations as if the solutions were a REBASE tree of that width, stage by stage."""
    changed, stages, moved, children = [], [], 0, 0
    for problem in range(len(ours.pools)):
        here, there = ours.step_scores(problem), base.step_scores(problem)
        different = count = 0
        for depth in range(max(map(len, here), default=0)):
            alive = [i for i, steps in enumerate(here) if depth + 1 < len(steps)]
            if len(alive) < 2:
                continue
            budget = len(alive)  # what is left of the width once finished paths are taken off
            a, b = (
                allocate([round(scores[i][depth], TIE_DIGITS) for i in alive], budget, balance)
                for scores in (here, there)
            )
            count, different = count + 1, different + (a != b)
            moved += sum(abs(x - y) for x, y in zip(a, b, strict=True)) // 2
            children += budget
        changed.append(different)
        stages.append(count)
    return _ratio("widths_changed", changed, stages) | {
        "children_moved": moved / children if children else None
    }


def step_auc(ours: Scored, base: Scored | None, gold: Gold) -> dict[str, Any]:
    """The chance that a right step scores above a wrong one, and its change."""
    if not gold:
        return {"labelled_steps": 0}
    labels, here = _labelled(ours, gold)
    count = sum(map(len, labels))
    found = auc(np.concatenate(here), np.concatenate(labels)) if count else None
    values: dict[str, Any] = {"labelled_steps": count, "step_auc": found}
    if base is None or found is None:
        return values
    _, there = _labelled(base, gold)

    def change(draw: Draw) -> float:
        truth = np.concatenate([labels[i] for i in draw])
        a, b = (auc(np.concatenate([s[i] for i in draw]), truth) for s in (here, there))
        return np.nan if a is None or b is None else a - b

    everyone = np.arange(len(labels))
    low, high = resampled(len(labels), change)
    return values | {
        "step_auc_change": change(everyone),
        "step_auc_change_low": low,
        "step_auc_change_high": high,
    }


def _labelled(scored: Scored, gold: Gold) -> tuple[list[Floats], list[Floats]]:
    """Labels and scores of the steps that have a label, by problem."""
    labels, scores = [], []
    for problem, pool in enumerate(scored.pools):
        truth = [label_steps(s.steps, gold[pool.problem.id]) for s in pool.solutions]
        pairs = [
            (label, score)
            for row, values in zip(truth, scored.step_scores(problem), strict=True)
            for label, score in zip(row, values, strict=True)
            if label is not None
        ]
        found = np.array(pairs, np.float64).reshape(-1, 2)
        labels.append(found[:, 0])
        scores.append(found[:, 1])
    return labels, scores


def auc(scores: Floats, labels: Floats) -> float | None:
    """The area under the ROC curve, ties half; None where all labels are alike."""
    right = int(labels.sum())
    wrong = len(labels) - right
    if not right or not wrong:
        return None
    above = rankdata(scores)[labels > 0].sum() - right * (right + 1) / 2
    return float(above) / (right * wrong)


def _ratio(name: str, sums: Sequence[float], counts: Sequence[float]) -> dict[str, Any]:
    """A ratio of sums over problems with its bounds; None where nothing was counted."""
    above, below = np.array(sums, np.float64), np.array(counts, np.float64)
    if not below.sum():
        return {}
    low, high = resampled(len(above), lambda draw: above[draw].sum() / max(below[draw].sum(), 1))
    return {
        name: float(above.sum() / below.sum()),
        f"{name}_low": low,
        f"{name}_high": high,
    }


def resampled(count: int, statistic: Callable[[Draw], float]) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic over resampled problems, with a fixed seed."""
    draws = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    low, high = np.nanpercentile([statistic(draw) for draw in draws], [2.5, 97.5])
    return float(low), float(high)
