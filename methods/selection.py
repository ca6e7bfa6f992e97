"""Choosing one answer from a search's candidates; every rule reads the same run."""

from __future__ import annotations

from collections.abc import Sequence

from convert.artifact import Aggregation
from methods.candidate import AGGREGATIONS, Candidate
from methods.catalog import SELECTIONS, Selection


def select(
    candidates: Sequence[Candidate],
    selection: Selection,
    aggregation: Aggregation = "last",
    *,
    strict: bool = False,
) -> str | None:
    """The answer a rule chooses, or None if no candidate has one.

    What a rule does stands in the catalog; equal answers are answers of one value. With `strict`
    only explicitly marked answers count. Candidates without an answer have no vote.
    """
    answered = [(answer, c) for c in candidates if (answer := _read(c, strict)) is not None]
    if not answered:
        return None
    rule, aggregate = SELECTIONS[selection], AGGREGATIONS[aggregation]
    weighed = [(answer, aggregate(c.scores) if rule.scored else 1.0) for answer, c in answered]
    if not rule.adds:
        return max(weighed, key=lambda pair: pair[1])[0]
    totals: dict[str, float] = {}
    answers = answered[0][1].reader.groups([answer for answer, _ in answered])
    for answer, (_, weight) in zip(answers, weighed, strict=True):
        totals[answer] = totals.get(answer, 0.0) + weight
    return max(totals, key=lambda answer: totals[answer])


def _read(candidate: Candidate, strict: bool) -> str | None:
    found = candidate.reading
    return None if strict and found.rule != "marker" else found.answer
