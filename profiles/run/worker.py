"""One configuration in one process, so that its peaks of memory are its own.

`python -m profiles.run.worker CONFIGURATION.json RECORDS.jsonl` appends one line a question to the
records and reports progress on standard output, one JSON line an event. Questions that the records
already hold are skipped.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from convert.command import sentence, stoppable
from convert.refusal import Refusal
from methods.build import Method, build
from methods.candidate import Answer
from methods.catalog import Selection, search_named
from methods.opened import Models
from methods.problem import Problem
from methods.selection import select
from methods.show import tree
from profiles.records.configuration import Configuration, read_configuration
from profiles.records.record import (
    Appender,
    ChosenAnswer,
    Record,
    open_records,
    question_seed,
    read_records,
)
from profiles.records.worker_facts import worker_facts_path
from profiles.run.events import Answered, Asking, Event, GaveUp, Loaded, event_line
from profiles.run.memory import VideoMemory
from profiles.run.models import Opener, open_models
from profiles.run.process_facts import (
    earlier_facts,
    pace_of,
    process_facts,
    with_pace,
    with_peaks,
)
from profiles.run.together import (
    Pace,
    alone_path,
    answer_alone,
    answer_together,
    with_alone,
)
from profiles.tree.stored_trees import tree_line, trees_path
from runtime.engine import CacheFull, ContextFull, Engine
from runtime.loops import loops
from runtime.prompt import ask_as

WARM_UP = Problem("warm-up", "Ann has 2 pens and buys 3 more. How many pens does Ann have?")
LOCK = "lock"
PATIENCE_S = 600.0  # with the worker of a run that was killed


def measure(
    configuration: Configuration,
    out: Path,
    report: Callable[[Event], None] = lambda _: None,
    opener: Opener = open_models,
    ids: frozenset[str] | None = None,
) -> None:
    """Answer what the records at `out` lack; every line is whole before the next question.

    With `ids` only these questions.

    One worker a folder at a time: that of a run which was killed may still be at its question.

    Raises:
        Refusal: if another worker does not leave the folder.
    """
    try:
        with FileLock(out.with_name(LOCK), timeout=PATIENCE_S):
            _measure(configuration, out, report, opener, ids)
    except Timeout as error:
        raise Refusal("another run works in this folder; stop it, then --resume") from error


def _measure(
    configuration: Configuration,
    out: Path,
    report: Callable[[Event], None],
    opener: Opener,
    ids: frozenset[str] | None,
) -> None:
    problems = [p for p in configuration.problems() if ids is None or p.id in ids]
    done = {record.id for record in read_records(out)}
    todo = [problem for problem in problems if problem.id not in done]
    if not todo and worker_facts_path(out).exists():
        return
    video = VideoMemory(configuration.options.device, gguf=configuration.format == "gguf")
    started = time.perf_counter()
    with opener(configuration) as models:
        if configuration.prompt is not None:
            ask_as(models.policy, configuration.prompt)
        process = process_facts(
            configuration, models.policy, models.reward, time.perf_counter() - started
        )
        earlier = earlier_facts(out)
        pace = pace_of(earlier)
        process = with_pace(with_peaks(process, earlier, video), pace)
        process.write(worker_facts_path(out))
        report(Loaded(process.policy.device, process.load_s))
        answers = _answers(configuration, models, problems, done, pace, out, report)
        with open_records(out) as lines, _open_searches(configuration, out) as searches:
            for record, found in answers:
                if searches and found:
                    searches.write(tree_line(record.id, tree(record.question, found)))
                lines.write(record.line())
                process = with_pace(with_peaks(process, process, video), pace)
                process.write(worker_facts_path(out))
                correct = record.verdict(configuration.primary).correct
                report(Answered(record.id, correct))
        with_pace(process, pace).write(worker_facts_path(out))


def _answers(
    configuration: Configuration,
    models: Models,
    problems: Sequence[Problem],
    done: set[str],
    pace: Pace,
    out: Path,
    report: Callable[[Event], None],
) -> Iterator[tuple[Record, Answer | None]]:
    """The records that are not done, one question after the other or many at once."""
    method, todo = _method(configuration, models), [p for p in problems if p.id not in done]
    if todo:
        _warm_up(method)
    if configuration.parallel == 1:
        for problem in todo:
            report(Asking(problem.id))
            yield answer(configuration, models, method, problem)
        return

    def ask(problem: Problem, *engines: Engine) -> tuple[Record, Answer | None]:
        report(Asking(problem.id))
        opened = models.over(engines)
        return answer(configuration, opened, _method(configuration, opened), problem)

    engines = models.engines
    alone = answer_alone(configuration, engines, problems, ask, alone_path(out))
    for record, found in answer_together(configuration, engines, problems, done, ask, pace):
        yield with_alone(record, alone.get(record.id)), found


def answer(
    configuration: Configuration, models: Models, method: Method, problem: Problem
) -> tuple[Record, Answer | None]:
    """One question measured. One that cannot be asked or does not fit is a failure, not a gap."""
    seed = question_seed(configuration.seed, problem.id)
    blank = Record(problem.id, problem.question, problem.gold, seed)
    if problem.fault is not None:
        return replace(blank, failed=problem.fault), None
    try:
        found = _solved(configuration, models, method, problem, seed)
    except ContextFull as error:
        return replace(blank, failed=str(error)), None
    record = replace(
        blank,
        verdicts={s: _verdict(found, problem, s) for s in configuration.selections},
        policy=found.usage,
        reward=found.scorer_usage,
        latency_s=found.latency_s,
        scorer_s=found.scorer_s,
        ttft_s=found.ttft_s,
        candidates=len(found.candidates),
        truncated=sum(candidate.truncated for candidate in found.candidates),
        dropped=found.dropped,
        booked_tokens=found.booked_tokens,
        policy_kv_bytes=models.policy.kv_bytes,
        reward_kv_bytes=models.reward.kv_bytes if models.reward else 0,
        looped=sum(
            loops(chain.from_iterable(s.token_ids for s in c.steps)) for c in found.candidates
        ),
        traced=any(problem.stands_in(candidate.text) for candidate in found.candidates),
        depth=len(found.stages),
        overshoot=found.overshoot,
    )
    return record, found


def _solved(
    configuration: Configuration, models: Models, method: Method, problem: Problem, seed: int
) -> Answer:
    """A search; one whose branches outgrow the KV cache begins anew, and they take turns.

    What it took includes the first attempt; what it spent of a budget does not.

    Raises:
        ContextFull: if it cannot be asked.
    """
    started, before = time.perf_counter(), [engine.usage for engine in models.engines]
    try:
        return method.solve(problem, seed)
    except CacheFull:
        lost_s = time.perf_counter() - started
        lost = [e.usage - b for e, b in zip(models.engines, before, strict=True)]
        found = models.in_turns(lambda m: _method(configuration, m).solve(problem, seed))
    return replace(
        found,
        usage=found.usage + lost[0],
        scorer_usage=sum(lost[1:], found.scorer_usage),
        latency_s=found.latency_s + lost_s,
        ttft_s=found.ttft_s + lost_s,
    )


def _open_searches(
    configuration: Configuration, out: Path
) -> AbstractContextManager[Appender | None]:
    """Where the trees go; votes have none."""
    if search_named(configuration.spec.search).tree:
        return open_records(trees_path(out))
    return nullcontext()


def _verdict(found: Answer, problem: Problem, selection: Selection) -> ChosenAnswer:
    flexible = select(found.candidates, selection, found.aggregation)
    strict = select(found.candidates, selection, found.aggregation, strict=True)
    return ChosenAnswer(
        answer=flexible,
        answer_strict=strict,
        correct=problem.accepts(flexible),
        correct_strict=problem.accepts(strict),
    )


def _method(configuration: Configuration, models: Models) -> Method:
    spec = replace(configuration.spec, selection=configuration.primary, logprobs=False)
    return build(spec, models.policy, models.scorer())


def _warm_up(method: Method) -> None:
    """One question before the clock counts: pages, kernels and caches are then in place."""
    try:
        method.solve(WARM_UP, 0)
    except ContextFull:
        return


def main(arguments: Sequence[str] | None = None, opener: Opener = open_models) -> int:
    """Run the worker; returns the exit code."""
    stored, out = map(Path, sys.argv[1:] if arguments is None else arguments)
    pipe = _own_pipe() if arguments is None else sys.stdout
    parent = os.getppid()

    def report(event: Event) -> None:
        if os.getppid() != parent:  # nobody reads on: the run was killed
            raise KeyboardInterrupt
        print(event_line(event), file=pipe, flush=True)

    try:
        with stoppable(for_good=arguments is None):
            measure(read_configuration(stored), out, report, opener)
    except (KeyboardInterrupt, BrokenPipeError) as stop:
        return 128 + getattr(stop, "number", 2)
    except (Refusal, OSError, MemoryError) as error:
        return _failed(sentence(error), pipe)
    except Exception as error:
        traceback.print_exc()
        said = f"{type(error).__name__}: {sentence(error)}"
        log = f"{out.parent.name}/{out.stem}.log"
        return _failed(f"{said} (a fault of ours; its traceback is in {log})", pipe)
    return 0


def _own_pipe() -> IO[str]:
    """Standard output for our events alone: what libraries print goes where errors go."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def _failed(reason: str, pipe: IO[str]) -> int:
    print(event_line(GaveUp(reason)), file=pipe, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
