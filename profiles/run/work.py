"""A run cut into work items, and which one a free worker slot takes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from profiles.records.configuration import Configuration
from profiles.run.together import cohorts

QUESTIONS = 16  # of an item where they are asked one by one
TRIES = 3  # an item whose worker dies so often is at fault itself


@dataclass(slots=True)
class WorkItem:
    """Some questions under one configuration."""

    configuration: Configuration
    ids: tuple[str, ...]
    tries: int = 0


@dataclass(slots=True)
class Backlog:
    """What is left to do of one configuration."""

    configuration: Configuration
    done: set[str] = field(default_factory=set)  # questions that have a record
    waiting: deque[WorkItem] = field(default_factory=deque)
    running: int = 0

    @property
    def over(self) -> bool:
        return not self.waiting and not self.running


def work_items(configuration: Configuration, done: set[str]) -> deque[WorkItem]:
    """The items that lack a record. Questions at once stay in the cohorts of an unbroken run."""
    problems = configuration.problems()
    sound = [problem.id for problem in problems if problem.fault is None]
    alone = set(sound[: configuration.latency_questions])
    if configuration.parallel == 1:
        todo = [p for p in problems if p.id not in done]
        parts: list[Sequence[str]] = [
            [p.id for p in todo[begin : begin + QUESTIONS]]
            for begin in range(0, len(todo), QUESTIONS)
        ]
    else:
        whole = [[p.id for p in cohort] for cohort in cohorts(problems, configuration.parallel)]
        parts = [ids for ids in whole if not done.issuperset(ids)]
    return deque(
        WorkItem(replace(configuration, latency_questions=len(alone.intersection(ids))), tuple(ids))
        for ids in parts
    )


def next_backlog(backlogs: Sequence[Backlog], opened: str | None) -> Backlog | None:
    """Whose item a free slot takes: of the models it has open, else where most is left a worker.

    So models are opened seldom, and several slots share a configuration only at the end.
    """
    waiting = [backlog for backlog in backlogs if backlog.waiting]
    for backlog in waiting:
        if backlog.configuration.slug == opened:
            return backlog
    return max(waiting, key=lambda b: len(b.waiting) / (1 + b.running), default=None)
