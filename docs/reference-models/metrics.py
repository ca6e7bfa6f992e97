"""How well step scores tell right solutions from wrong ones, from lists to printed lines."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from grading import final_answer, label_steps

RESAMPLES = 2000  # of the problems, for the intervals of the within-problem AUC


@dataclass(frozen=True, slots=True)
class Sampled:
    """The solutions to one problem and the scores of their steps."""

    values: Sequence[int]
    solutions: Sequence[str]
    scores: Sequence[Sequence[float]]

    @property
    def answers(self) -> list[int | None]:
        return [final_answer(solution) for solution in self.solutions]

    @property
    def outcomes(self) -> list[int]:
        """1 for a solution with the right answer, else 0."""
        return [int(answer == self.values[-1]) for answer in self.answers]

    @property
    def last(self) -> list[float]:
        """The score of each solution's last step; 0 without any step."""
        return [scores[-1] if scores else 0.0 for scores in self.scores]


def wins(scores: Sequence[float], labels: Sequence[int]) -> tuple[float, int]:
    """Pairs of a right and a wrong one that the scores order rightly (ties: half), of all pairs."""
    tally: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for score, label in zip(scores, labels, strict=True):
        tally[score][label] += 1
    wrong_below, won = 0, 0.0
    for score in sorted(tally):
        wrong, right = tally[score]
        won += right * (wrong_below + wrong / 2)
        wrong_below += wrong
    return won, wrong_below * sum(labels)


def auc(scores: Sequence[float], labels: Sequence[int]) -> float:
    """Chance that a right one scores above a wrong one; ties count half."""
    won, pairs = wins(scores, labels)
    return won / pairs


def wilson(right: int, n: int) -> str:
    """Accuracy in percent with its 95 % interval."""
    p, z = right / n, 1.96
    center, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((center + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{100 * p:.1f} % [{100 * low:.1f}, {100 * high:.1f}]  n={n}"


def vote(answers: Sequence[int | None], weights: Sequence[float]) -> int | None:
    """The answer with the greatest total weight; solutions without an answer have no vote."""
    totals: dict[int, float] = defaultdict(float)
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            totals[answer] += weight
    return max(totals, key=lambda answer: totals[answer], default=None)


def print_selection(problems: Sequence[Sampled]) -> None:
    """Accuracy of one solution, of the votes, of the best-scored one, and of a perfect choice."""
    right: Counter[str] = Counter()
    for problem in problems:
        target, k = problem.values[-1], len(problem.solutions)
        best = max(range(k), key=lambda j, last=problem.last: last[j])  # type: ignore[misc]
        right[f"majority@{k}"] += vote(problem.answers, [1.0] * k) == target
        right[f"best-of-{k}"] += problem.answers[best] == target
        right[f"weighted vote@{k}"] += vote(problem.answers, problem.last) == target
        right[f"oracle@{k}"] += target in problem.answers
    outcomes = [outcome for problem in problems for outcome in problem.outcomes]
    print("single sample", wilson(sum(outcomes), len(outcomes)))
    for name, count in right.items():
        print(name, wilson(count, len(problems)))


def print_ranking(problems: Sequence[Sampled]) -> None:
    """AUC over all steps, over all solutions, and over the pairs inside one problem."""
    labels = [label_steps(s, p.values) for p in problems for s in p.solutions]
    scores = [step_scores for p in problems for step_scores in p.scores]
    flat = [pair for rows in zip(scores, labels, strict=True) for pair in zip(*rows, strict=True)]
    right = sum(label for _, label in flat)
    print(f"step AUC {auc(*zip(*flat, strict=True)):.4f}  right steps {right} of {len(flat)}")

    last = [score for p in problems for score in p.last]
    outcomes = [outcome for p in problems for outcome in p.outcomes]
    print(f"last-step AUC {auc(last, outcomes):.4f}  right {sum(outcomes)} of {len(outcomes)}")

    counted = [wins(p.last, p.outcomes) for p in problems]
    mixed = [(won, pairs) for won, pairs in counted if pairs]
    rng = random.Random(0)
    draws = [_within(rng.choices(mixed, k=len(mixed))) for _ in range(RESAMPLES)]
    for name, value, resampled in zip(
        ("pooled pairs", "mean of problems"), _within(mixed), zip(*draws, strict=True), strict=True
    ):
        low, high = (sorted(resampled)[int(q * RESAMPLES)] for q in (0.025, 0.975))
        print(f"within-problem AUC, {name} {value:.4f} [{low:.3f}, {high:.3f}]")
    print(f"  {sum(pairs for _, pairs in mixed)} pairs in {len(mixed)} problems")


def _within(mixed: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """The AUC over pooled pairs, and the mean of the problems' own."""
    pooled = sum(won for won, _ in mixed) / sum(pairs for _, pairs in mixed)
    return pooled, sum(won / pairs for won, pairs in mixed) / len(mixed)
