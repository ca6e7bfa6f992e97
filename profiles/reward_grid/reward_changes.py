"""What quantizing a reward model changes in scores, orders, allocations and answers.

Bounds are 95 % intervals over resampled problems,
since the solutions of one problem depend on each other; those of accuracies are as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, rankdata

from convert.artifact import Aggregation
from methods.allocate import allocate
from methods.candidate import AGGREGATIONS, Candidate
from methods.catalog import BEST_OF_N, MAJORITY, WEIGHTED, Selection
from methods.problem import Problem
from methods.selection import select
from profiles.intervals import Estimate, accuracy, compare
from profiles.opened_model import OpenedModel
from profiles.reward_grid.candidate_pool import Pool
from profiles.reward_grid.step_labels import label_steps

RESAMPLES = 500
TIE_DIGITS = 4  # scores are told apart to 0.0001: below that rounding decides, not the weights
VOTES = (WEIGHTED.selection, BEST_OF_N.selection)

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


@dataclass(frozen=True, slots=True)
class VoteAccuracies:
    """Of votes on the same solutions."""

    accuracy_majority: float
    accuracy_weighted: Estimate
    accuracy_best: Estimate


@dataclass(frozen=True, slots=True)
class VoteChanges:
    """Of votes on the same solutions, paired by problem with those of full-precision reward."""

    answers_changed_weighted: float
    answers_changed_best: float
    delta_weighted: Estimate
    weighted_mcnemar_p: float
    delta_best: Estimate
    best_mcnemar_p: float


@dataclass(frozen=True, slots=True)
class StepAuc:
    """The chance that a right step scores above a wrong one; None without both kinds."""

    labelled_steps: int
    step_auc: float | None = None
    step_auc_change: Estimate | None = None


@dataclass(frozen=True, slots=True)
class OrderChange:
    """Kendall's tau-b of the solutions' order inside a problem, where both tell some apart."""

    kendall_tau: Estimate | None
    kendall_problems: int


@dataclass(frozen=True, slots=True)
class AllocationChange:
    """Shares of stages whose REBASE allocation is another one, and of children that moved."""

    widths_changed: Estimate | None
    children_moved: float | None


def accuracies(ours: Scored, aggregation: Aggregation) -> VoteAccuracies:
    """Of a majority vote, a weighted vote, and the best solution."""
    problems = _problems(ours)
    majority = _right([select(c, MAJORITY.selection) for c in ours.candidates], problems)
    weighted, best = (_right(_answers(ours, rule, aggregation), problems) for rule in VOTES)
    return VoteAccuracies(float(np.mean(majority)), accuracy(weighted), accuracy(best))


def vote_changes(ours: Scored, base: Scored, aggregation: Aggregation) -> VoteChanges:
    """What the votes gain and lose, and how many answers are others."""
    problems = _problems(ours)
    before = [_answers(base, rule, aggregation) for rule in VOTES]
    now = [_answers(ours, rule, aggregation) for rule in VOTES]
    changed = [
        float(np.mean([a != b for a, b in zip(*pair, strict=True)]))
        for pair in zip(before, now, strict=True)
    ]
    weighted, best = (
        compare(_right(there, problems), _right(here, problems))
        for there, here in zip(before, now, strict=True)
    )
    return VoteChanges(
        changed[0],
        changed[1],
        Estimate(weighted.difference, weighted.low, weighted.high),
        weighted.mcnemar_p,
        Estimate(best.difference, best.low, best.high),
        best.mcnemar_p,
    )


def _problems(scored: Scored) -> list[Problem]:
    return [pool.problem for pool in scored.pools]


def _answers(scored: Scored, rule: Selection, aggregation: Aggregation) -> list[str | None]:
    return [select(c, rule, aggregation) for c in scored.candidates]


def _right(answers: Sequence[str | None], problems: Sequence[Problem]) -> list[bool]:
    return [p.accepts(answer) for answer, p in zip(answers, problems, strict=True)]


def score_error(ours: Scored, base: Scored) -> Estimate | None:
    """The mean absolute change of a step's score."""
    sums, counts = [], []
    for problem in range(len(ours.pools)):
        here = [x for steps in ours.step_scores(problem) for x in steps]
        there = [x for steps in base.step_scores(problem) for x in steps]
        sums.append(sum(abs(a - b) for a, b in zip(here, there, strict=True)))
        counts.append(len(here))
    return _ratio(sums, counts)


def rank_correlation(ours: Scored, base: Scored, aggregation: Aggregation) -> OrderChange:
    """Kendall's tau-b of the solutions' order inside a problem, where both tell some apart."""
    aggregate = AGGREGATIONS[aggregation]
    taus = []
    for here, there in zip(ours.candidates, base.candidates, strict=True):
        a, b = ([round(aggregate(c.scores), TIE_DIGITS) for c in found] for found in (here, there))
        if len(set(a)) > 1 and len(set(b)) > 1:
            taus.append(float(kendalltau(a, b).statistic))
    return OrderChange(_ratio(taus, [1] * len(taus)), len(taus))


def allocations(ours: Scored, base: Scored, balance: float) -> AllocationChange:
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
    return AllocationChange(_ratio(changed, stages), moved / children if children else None)


def step_auc(ours: Scored, base: Scored | None, gold: Gold) -> StepAuc:
    """The chance that a right step scores above a wrong one, and its change from `base`."""
    if not gold:
        return StepAuc(0)
    labels, here = _labelled(ours, gold)
    count = sum(map(len, labels))
    found = auc(np.concatenate(here), np.concatenate(labels)) if count else None
    if base is None or found is None:
        return StepAuc(count, found)
    _, there = _labelled(base, gold)

    def change(draw: Draw) -> float:
        truth = np.concatenate([labels[i] for i in draw])
        a, b = (auc(np.concatenate([s[i] for i in draw]), truth) for s in (here, there))
        return np.nan if a is None or b is None else a - b

    everyone = np.arange(len(labels))
    return StepAuc(count, found, Estimate(change(everyone), *resampled(len(labels), change)))


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


def _ratio(sums: Sequence[float], counts: Sequence[float]) -> Estimate | None:
    """A ratio of sums over problems with its bounds; None where nothing was counted."""
    above, below = np.array(sums, np.float64), np.array(counts, np.float64)
    if not below.sum():
        return None
    bounds = resampled(len(above), lambda draw: above[draw].sum() / max(below[draw].sum(), 1))
    return Estimate(float(above.sum() / below.sum()), *bounds)


def resampled(count: int, statistic: Callable[[Draw], float]) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic over resampled problems, with a fixed seed."""
    draws = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    low, high = np.nanpercentile([statistic(draw) for draw in draws], [2.5, 97.5])
    return float(low), float(high)
