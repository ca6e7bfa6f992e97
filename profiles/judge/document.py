"""A fit as a table, and what it is worth in sentences that claim no more than the intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from profiles.documents import Document
from profiles.flat_rows import flat
from profiles.intervals import Estimate
from profiles.judge.measure import BASE, JudgeRow, Measured
from profiles.text_formats import NONE, percent

TITLES = ("judge", "layers", "AUC within a question", f"change to {BASE}", "best answer right %")


def document(measured: Measured, header: Mapping[str, Any]) -> Document:
    """The comparison in all its forms."""
    return Document(
        "A judge on the policy's own states",
        header,
        [flat(row) for row in measured.rows],
        [TITLES, *map(_line, measured.rows)],
        findings(measured),
        texts=2,
    )


def findings(measured: Measured) -> list[str]:
    """What was fitted to, and whether it was worth it."""
    (kept,) = (row for row in measured.rows if row.kept)
    assert kept.change is not None
    better = kept.change.low > 0
    verdict = "beats" if better else "does not reliably beat"
    advice = "" if better else f"; --reward {BASE} needs no fit and may serve as well"
    return [
        f"{measured.answers} answers to {measured.questions} questions, "
        f"{percent(measured.right)} % right; {measured.judging} questions that no fit saw, with "
        "right and wrong answers, judged. Intervals resample questions, 95 %.",
        f"{kept.judge} was written: it {verdict} {BASE} within a question, by "
        f"{_interval(kept.change, signed=True)}{advice}.",
    ]


def _line(row: JudgeRow) -> tuple[str, ...]:
    return (
        row.judge + (" *" if row.kept else ""),
        row.layers or NONE,
        _interval(row.auc),
        NONE if row.change is None else _interval(row.change, signed=True),
        percent(row.best_of),
    )


def _interval(found: Estimate, *, signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"
