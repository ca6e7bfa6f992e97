"""Which heads on which states tell right from wrong, beside what costs nothing to fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from convert.progress import Progress
from convert.refusal import Refusal
from convert.self_judge import Form
from methods.judge_features import NAMES
from profiles.intervals import Estimate
from profiles.judge.auc import best_of, difference, interval
from profiles.judge.fit import Fitted, Floats, Ints, fit
from profiles.judge.samples import Samples
from runtime.probe import FINAL

TO_STOP, TO_JUDGE = 0.15, 0.15  # of the questions: to stop a fit, and to tell what it is worth
FORMS: tuple[Form, ...] = ("layers", "gated")
LEAST = 40  # questions with right and wrong answers
BASE = "logprob-mean"  # the best of those that need no fit, whatever the lengths


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """One judge on the questions that nothing was fitted to."""

    judge: str
    layers: str
    auc: Estimate  # within a question
    change: Estimate | None  # to `BASE`
    best_of: float  # share of questions whose best answer is right
    kept: bool = False  # it is the judge that was written


@dataclass(frozen=True, slots=True)
class Measured:
    """What a fit came to."""

    rows: tuple[JudgeRow, ...]
    questions: int  # that were answered
    answers: int
    right: float  # share of the answers
    judging: int  # questions with right and wrong answers, of those that judged


def measure(
    samples: Samples, layers: Sequence[int], seed: int, progress: Progress
) -> tuple[Fitted, Measured]:
    """The better of the forms, by the questions that stopped it, and all that there is to compare.

    Raises:
        Refusal: if too few questions have right and wrong answers.
    """
    stopping, judging = _parts(samples, seed)
    fitted: list[Fitted] = []
    with progress.bar("fit", len(FORMS)) as bar:
        for form in FORMS:
            fitted.append(fit(samples, form, layers, stopping, judging, seed))
            bar.step(form)
    best = max(fitted, key=lambda one: one.auc)
    ends = np.flatnonzero(samples.last & np.isin(samples.question, judging))
    plain = unfitted(samples, ends)
    rows = [_row(samples, ends, name, (), scores, plain) for name, scores in plain.items()]
    rows += [
        replace(
            _row(samples, ends, f"self, {one.form}", one.layers, one.scores[ends], plain),
            kept=one is best,
        )
        for one in fitted
    ]
    last = samples.last
    return best, Measured(
        tuple(rows),
        len(samples.questions),
        int(last.sum()),
        float(samples.right[last].mean()),
        len(set(_mixed(samples)) & set(judging.tolist())),
    )


def unfitted(samples: Samples, ends: Ints) -> dict[str, Floats]:
    """Whole paths under the judges that need no fit."""
    column = dict(zip(NAMES, samples.features.T, strict=True))
    means = np.bincount(samples.answer, np.exp(column["mean"])) / np.bincount(samples.answer)
    return {
        BASE: means[samples.answer[ends]],
        "logprob": column["path_sum"][ends],
        "logprob-min": column["path_least"][ends],
    }


def _parts(samples: Samples, seed: int) -> tuple[Ints, Ints]:
    """Questions that stop the fit, and those that judge it; the others are fitted to.

    Raises:
        Refusal: if too few of them have right and wrong answers.
    """
    mixed = len(_mixed(samples))
    if mixed < LEAST:
        raise Refusal(
            f"{mixed} questions have right and wrong answers, and {LEAST} are the least that "
            "a judge is fitted to; give more --data or --samples"
        )
    order = np.random.default_rng(seed).permutation(samples.questions)
    stop, judge = (round(share * len(order)) for share in (TO_STOP, TO_JUDGE))
    return order[:stop], order[stop : stop + judge]


def _mixed(samples: Samples) -> list[int]:
    """Questions with right and wrong answers."""
    right = {
        number: samples.right[samples.last & (samples.question == number)].mean()
        for number in samples.questions.tolist()
    }
    return [number for number, share in right.items() if 0 < share < 1]


def _row(
    samples: Samples,
    ends: Ints,
    name: str,
    layers: Sequence[int],
    scores: Floats,
    plain: Mapping[str, Floats],
) -> JudgeRow:
    right, question = samples.right[ends], samples.question[ends]
    return JudgeRow(
        name,
        " ".join("final" if n == FINAL else str(n) for n in layers),
        interval(scores, right, question),
        None if name == BASE else difference(scores, plain[BASE], right, question),
        float(best_of(scores, right, question).mean()),
    )
