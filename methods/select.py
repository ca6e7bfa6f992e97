"""Choosing one answer from a search's candidates; every rule reads the same run."""

from __future__ import annotations

from collections.abc import Sequence

from methods.candidate import AGGREGATIONS, Aggregation, Candidate, Selection


def select(
    candidates: Sequence[Candidate],
    selection: Selection,
    aggregation: Aggregation = "last",
    *,
    strict: bool = False,
) -> str | None:
    """The answer a rule chooses, or None if no candidate has one.

    `majority` counts, `weighted` sums aggregated scores over answers of one value, `best-of-n`
    takes the candidate with the highest score that has an answer, `greedy` the first. Ties go to
    the earlier candidate. With `strict` only explicitly marked answers count. Candidates without
    an answer have no vote.
    """
    answered = [(answer, c) for c in candidates if (answer := _read(c, strict)) is not None]
    if not answered:
        return None
    if selection == "greedy":
        return answered[0][0]
    aggregate = AGGREGATIONS[aggregation]
    if selection == "best-of-n":
        return max(answered, key=lambda pair: aggregate(pair[1].scores))[0]
    totals: dict[str, float] = {}
    answers = answered[0][1].reader.groups([answer for answer, _ in answered])
    for answer, (_, candidate) in zip(answers, answered, strict=True):
        weight = 1.0 if selection == "majority" else aggregate(candidate.scores)
        totals[answer] = totals.get(answer, 0.0) + weight
    return max(totals, key=lambda answer: totals[answer])


def _read(candidate: Candidate, strict: bool) -> str | None:
    found = candidate.reading
    return None if strict and found.rule != "marker" else found.answer
