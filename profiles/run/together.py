"""Many questions of a configuration at once, so that the same command gives the same records.

Which rows share a call changes how kernels round. So questions are taken in cohorts by their place
in the data, each cohort starts on empty engines and ends before the next, and a cohort of which a
record is missing runs again as a whole: records that are there stay, what is missing is the same
as if nothing had been interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from methods.candidate import Answer
from methods.catalog import search_named
from methods.problem import Problem
from profiles.records.configuration import Configuration
from profiles.records.record import Alone, Record, open_records, read_records
from runtime.engine import Engine
from runtime.scheduler import Scheduler

ROUNDS = 4  # a cohort's questions for each that is at work at once

Ask = Callable[..., tuple[Record, Answer | None]]  # of a problem and the engines


@dataclass(slots=True)
class Pace:
    """How fast whole cohorts were answered, over all runs."""

    seconds: float = 0.0
    questions: int = 0
    tokens: int = 0  # decoded by the policy


def cohorts(problems: Sequence[Problem], parallel: int) -> Iterator[Sequence[Problem]]:
    """The questions in the order of the data, cut where it does not depend on what was done."""
    size = ROUNDS * parallel
    for begin in range(0, len(problems), size):
        yield problems[begin : begin + size]


def answer_together(
    configuration: Configuration,
    engines: Sequence[Engine],
    problems: Sequence[Problem],
    done: set[str],
    ask: Ask,
    pace: Pace,
) -> Iterator[tuple[Record, Answer | None]]:
    """The records that are not done, as their questions end; `pace` grows with every cohort."""
    paths = search_named(configuration.spec.search).paths(configuration.spec.width)
    for cohort in cohorts(problems, configuration.parallel):
        if all(problem.id in done for problem in cohort):
            continue
        started, tokens = time.perf_counter(), 0
        with Scheduler(*engines, branches=configuration.parallel * paths) as scheduler:
            for problem in cohort:
                scheduler.submit(partial(ask, problem), width=paths)
            for job in scheduler.run():
                record, found = job.result()
                tokens += record.policy.decode_tokens
                if record.id not in done:
                    yield record, found
        pace.seconds += time.perf_counter() - started
        pace.questions += len(cohort)
        pace.tokens += tokens


def answer_alone(
    configuration: Configuration,
    engines: Sequence[Engine],
    problems: Sequence[Problem],
    ask: Ask,
    out: Path,
) -> dict[str, Record]:
    """The first questions with the models to themselves; what `out` holds is not asked again."""
    stored = {record.id: record for record in read_records(out)}
    sound = [problem for problem in problems if problem.fault is None]
    with open_records(out) as lines:
        for problem in sound[: configuration.latency_questions]:
            if problem.id not in stored:
                stored[problem.id], _ = ask(problem, *engines)
                lines.write(stored[problem.id].line())
    return stored


def with_alone(record: Record, alone: Record | None) -> Record:
    """A record with what its question took alone, where that was measured."""
    if alone is None or alone.failed is not None:
        return record
    same = {s: v.answer for s, v in alone.verdicts.items()} == {
        s: v.answer for s, v in record.verdicts.items()
    }
    timing = Alone(alone.latency_s, alone.scorer_s, alone.ttft_s, alone.policy, alone.reward, same)
    return replace(record, alone=timing)


def alone_path(records: Path) -> Path:
    """Where the questions that were asked alone go, beside the records."""
    return records.with_suffix(".alone.jsonl")
