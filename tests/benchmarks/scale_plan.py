"""How long a large run takes on 1, 8 and 64 workers, simulated from the times of a small one.

    profile run --levels q4_k_m --no-baseline --methods majority rebase --width 3 6 16 -o small
    python tests/benchmarks/scale_plan.py small [--questions 1319] [--levels 10] [--longest 46.9]

Seconds of a question are drawn from the records of `small`, of the same configuration; loading
takes what it took, or `--load`. `--longest` stretches all questions so that the slowest
configuration has that mean. Shards are cut as real ones; Ray's items go by the real rule of
`profiles/run/work.py`.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from profiles.records.configuration import Configuration
from profiles.records.shard import Shard
from profiles.records.stored_run import read_measured, read_run
from profiles.run.work import QUESTIONS, Backlog, WorkItem, next_backlog

WORKERS = (1, 8, 64)


@dataclass(frozen=True, slots=True)
class Task:
    """One configuration with the seconds that each question will take."""

    configuration: Configuration
    seconds: tuple[float, ...]
    load_s: float


@dataclass(frozen=True, slots=True)
class Course:
    """How a run went: the end of the last worker, and what opening models took."""

    wall_s: float
    load_s: float
    loads: int


def main() -> None:
    """Print a table: a line a way of spreading and number of workers."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("folder", type=Path)
    p.add_argument("--questions", type=int, default=1319)
    p.add_argument("--levels", type=int, default=10)
    p.add_argument("--longest", type=float, help="mean seconds of the slowest configuration")
    p.add_argument("--load", type=float, help="seconds to open the models")
    options = p.parse_args()
    tasks = drawn(options.folder, options.questions, options.levels, options.longest, options.load)
    ways = {"a job a configuration": jobs, "shards": shards, "Ray": ray}
    print("| workers | spread as | hours | of ideal | loads | hours loading, all workers |")
    print("|---:|---|---:|---:|---:|---:|")
    for workers in WORKERS:
        for name, way in ways.items():
            found = way(tasks, workers)
            ideal = sum(sum(task.seconds) for task in tasks) / workers
            print(
                f"| {workers} | {name} | {found.wall_s / 3600:.2f} | {found.wall_s / ideal:.2f} "
                f"| {found.loads} | {found.load_s / 3600:.2f} |"
            )


def drawn(
    folder: Path, questions: int, levels: int, longest: float | None, load: float | None
) -> list[Task]:
    """The large run: every configuration of the small one at so many levels."""
    measured = read_measured(folder, read_run(folder).configurations)
    means = [fmean(record.latency_s for record in one.records) for one in measured]
    stretch = longest / max(means) if longest else 1.0
    draws, found = random.Random(0), []
    for level in range(levels):
        for one in measured:
            seconds = [stretch * record.latency_s for record in one.records]
            opened = one.process.load_s if load is None else load
            made = replace(one.configuration, level=f"{one.configuration.level}-{level}")
            found.append(Task(made, tuple(draws.choices(seconds, k=questions)), opened))
    return found


def jobs(tasks: Sequence[Task], workers: int) -> Course:
    """Every configuration whole, handed to the next free worker in the order of the run."""
    free = [0.0] * workers
    for task in tasks:
        heapq.heappush(free, heapq.heappop(free) + task.load_s + sum(task.seconds))
    return _course(tasks, max(free), len(tasks))


def shards(tasks: Sequence[Task], workers: int) -> Course:
    """A shard a worker, all configurations one after the other."""
    questions = [(str(n), f"question {n}") for n in range(len(tasks[0].seconds))]
    ends = []
    for index in range(workers):
        mine = [int(key) for key in Shard(index, workers).held(questions)]
        ends.append(sum(task.load_s + sum(task.seconds[n] for n in mine) for task in tasks))
    return _course(tasks, max(ends), workers * len(tasks))


def ray(tasks: Sequence[Task], workers: int) -> Course:
    """Items of a few questions, taken by the rule of a real run."""
    known = {task.configuration.slug: task for task in tasks}
    backlogs = [Backlog(task.configuration, set(), _items(task)) for task in tasks]
    opened: list[str | None] = [None] * workers
    at_work: list[Backlog | None] = [None] * workers
    free, loads, wall_s = [(0.0, worker) for worker in range(workers)], 0, 0.0
    while free:
        now, worker = heapq.heappop(free)
        if (before := at_work[worker]) is not None:
            before.running -= 1
        at_work[worker] = backlog = next_backlog(backlogs, opened[worker])
        wall_s = max(wall_s, now)
        if backlog is None:
            continue
        item, task = backlog.waiting.popleft(), known[backlog.configuration.slug]
        backlog.running += 1
        fresh = opened[worker] != backlog.configuration.slug
        opened[worker], loads = backlog.configuration.slug, loads + fresh
        took = sum(task.seconds[int(n)] for n in item.ids) + task.load_s * fresh
        heapq.heappush(free, (now + took, worker))
    return _course(tasks, wall_s, loads)


def _items(task: Task) -> deque[WorkItem]:
    ids = [str(n) for n in range(len(task.seconds))]
    parts = (ids[begin : begin + QUESTIONS] for begin in range(0, len(ids), QUESTIONS))
    return deque(WorkItem(task.configuration, tuple(part)) for part in parts)


def _course(tasks: Sequence[Task], wall_s: float, loads: int) -> Course:
    loading = loads * fmean(task.load_s for task in tasks)
    return Course(wall_s, loading, loads)


if __name__ == "__main__":
    main()
