"""`profile run`: every configuration in a process of its own, one after another."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from convert import child as children
from methods.catalog import ProtocolName
from profiles.documents import command_line, public
from profiles.environment import environment
from profiles.records import stored_run
from profiles.records.configuration import Configuration
from profiles.records.record import read_records
from profiles.records.run_document import AskedModels, Failure, Questions, RunDocument
from profiles.run.events import Event
from profiles.run.follow import Course, follow
from profiles.run.progress import RunProgress
from profiles.run.request import Request

WORKER = tuple(children.command("profiles.run.worker"))
STOP_S = 20.0  # what a worker may take to stop


def run_all(
    folder: Path,
    configurations: Sequence[Configuration],
    progress: RunProgress,
    worker: Sequence[str] = WORKER,
) -> list[Failure]:
    """Run what is not done yet. A configuration that fails does not stop the others."""
    failures: list[Failure] = []
    for number, configuration in enumerate(configurations, 1):
        title = f"[{number}/{len(configurations)}] {configuration.slug}"
        records = stored_run.records_path(folder, configuration)
        done = read_records(records)
        total = len(configuration.problems())
        correct = sum(record.verdict(configuration.primary).correct for record in done)
        progress.start(title, total, len(done), correct)
        course = Course(_models(configuration), total, len(done))
        reason = _run_one(folder, configuration, course, progress.event, worker)
        progress.stop(reason)
        if reason is not None:
            failures.append(Failure(configuration.slug, reason))
    return failures


def _run_one(
    folder: Path,
    configuration: Configuration,
    course: Course,
    event: Callable[[Event], None],
    worker: Sequence[str],
) -> str | None:
    """Why the worker of one configuration failed; None if it came to its end.

    The worker has a session of its own: Ctrl-C reaches it only through us, once.
    """
    stored = stored_run.configuration_path(folder, configuration)
    records = stored_run.records_path(folder, configuration)
    log_path = stored_run.log_path(folder, configuration)
    log_path.unlink(missing_ok=True)
    with log_path.open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            [*worker, str(stored), str(records)],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            stderr=log,
            encoding="utf-8",
            errors="replace",
            env=children.environment(),
            start_new_session=True,
        )
        try:
            follow(child, course, event, log)
        except BaseException:
            _stop(child)
            raise
    if child.returncode == 0:
        log_path.unlink()  # without a failure nobody misses it
        return None
    return course.ended(child.returncode, log_path)


def _models(configuration: Configuration) -> str:
    """The files that a worker opens."""
    models = (configuration.policy, configuration.reward)
    return " and ".join(model.name for model in models if model is not None)


def describe(
    request: Request, made: Sequence[Configuration], arguments: Sequence[str], questions: int
) -> RunDocument:
    """What is run, and where."""
    first = made[0]
    fair = next((m.spec for m in made if m.protocol is ProtocolName.FAIR), request.spec)
    judged = any(one.judged for one in made)
    reward = request.reward or "reference:reward"
    return RunDocument(
        command=command_line(arguments),
        models=AskedModels(
            policy=", ".join(map(public, request.policies)),
            reward=public(reward) if judged else None,
            thinker=_thinker(made),
        ),
        data=Questions(request.data.name, first.data_sha256),
        questions=questions,
        seed=request.seed,
        protocols=list(dict.fromkeys(one.protocol for one in made)),
        suite=request.suite,
        search={
            "temperature": request.spec.temperature,
            "top_p": request.spec.top_p,
            "max_tokens": fair.max_tokens,
            "step_tokens": fair.step_tokens,
            "balance": request.spec.balance,
            "allocation": request.spec.allocation,
            "aggregation": _aggregation(made),
            "elicit": request.spec.elicit,
        }
        | {name: value for one in made for name, value in one.spec.own.items()}
        | ({"budget": str(request.spec.budget)} if request.spec.budget else {})
        | _gates(request, made),
        methods=list(request.methods),
        configurations=[one.slug for one in made],
        environment=environment(),
        branches=request.gain.shared if request.gain else None,
        streams=request.gain.streams if request.gain else None,
    )


def _aggregation(made: Sequence[Configuration]) -> str:
    """How the scores of a path became one; what no reward model reads has none."""
    judged = dict.fromkeys(one.spec.aggregation for one in made if one.judged)
    return ", ".join(filter(None, judged)) or "last"


def _thinker(made: Sequence[Configuration]) -> str | None:
    """The files that think."""
    names = dict.fromkeys(one.policy.name for one in made if one.thinking != "off")
    return ", ".join(names) or None


def _gates(request: Request, made: Sequence[Configuration]) -> dict[str, Any]:
    """How thoughts were drawn and where, if there were any."""
    found: dict[str, Any] = {}
    if any(one.thinking != "off" for one in made):
        found["thought_temperature"] = request.options.thought_temperature
    if any(one.thinking == "gated" for one in made):
        found["gate"] = f"{request.options.gate_by} {request.options.gate:g}"
    return found


def _stop(child: subprocess.Popen[str]) -> None:
    """End a worker: it finishes its line first; one that hangs is killed.

    Not by SIGINT, which a job in a shell's background passes over, and so do its children.
    """
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
