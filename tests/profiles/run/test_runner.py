"""Workers one after another: kept apart, followed, stopped, resumed."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.command import stoppable
from convert.files import write_json
from profiles.records import stored_run
from profiles.records.configuration import Configuration
from profiles.records.record import read_records
from profiles.report.summary import summarize
from profiles.run.events import Answered, Asking, Event
from profiles.run.progress import RunProgress
from profiles.run.runner import run_all

ROOT = Path(__file__).parents[3]
WORKER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.profiles.run.scripted import scripted
from profiles.run.worker import main
{{before}}
sys.exit(main(sys.argv[1:], scripted))
"""


def worker(before: str = "") -> tuple[str, ...]:
    return (sys.executable, "-c", WORKER.replace("{before}", before))


@pytest.fixture
def grid(configuration: Callable[..., Configuration], tmp_path: Path) -> list[Configuration]:
    data = tmp_path / "problems.jsonl"
    lines = [json.dumps({"question": f"Q{n}?", "answer": "#### 5"}) for n in range(6)]
    data.write_text("\n".join(lines))
    made = [configuration("sample", level, 2, data=data) for level in ("f32", "q4_k_m")]
    return [replace(one, spec=replace(one.spec, max_tokens=40)) for one in made]


@pytest.fixture
def folder(grid: list[Configuration], tmp_path: Path, stored: Callable[..., None]) -> Path:
    """A run's folder before its first question."""
    stored(tmp_path / "report", [], methods=["majority", "weighted"])
    path = tmp_path / "report"
    stored_run.store_configurations(path, grid)
    run = json.loads((path / stored_run.RUN).read_text())
    run |= {"configurations": [one.slug for one in grid], "questions": 6}
    write_json(path / stored_run.RUN, run)
    return path


def outcomes(folder: Path) -> list[tuple[Any, ...]]:
    """The summary without what a clock or a memory meter says."""
    return [
        (r.setup, r.n, r.accuracy, r.change, r.cost.flops_per_question)
        for r in summarize(folder).rows
    ]


def test_all_configurations_run_and_say_so(folder: Path, grid: list[Configuration]) -> None:
    log = io.StringIO()
    assert run_all(folder, grid, RunProgress(log), worker()) == []
    assert [len(read_records(stored_run.records_path(folder, one))) for one in grid] == [6, 6]
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("[1/2] policy-torch-f32-sample-2  6/6  accuracy ")
    assert len(lines) == 2
    assert not list(folder.rglob("*.log"))
    assert {setup.method for setup, *_ in outcomes(folder)} == {"majority", "weighted"}


def test_a_failure_is_reported_and_does_not_stop_the_rest(
    folder: Path, grid: list[Configuration]
) -> None:
    crash = "if 'f32' in sys.argv[1]: sys.exit('no memory left')"
    failures = run_all(folder, grid, RunProgress(io.StringIO()), worker(crash))
    assert [(f.slug, f.reason) for f in failures] == [
        (
            "policy-torch-f32-sample-2",
            "exit code 1 while loading policy-f32.gguf and reward-f32.gguf; its log "
            "records/policy-torch-f32-sample-2.log ends with: no memory left",
        )
    ]
    assert len(read_records(stored_run.records_path(folder, grid[1]))) == 6


def test_a_worker_that_is_killed_is_a_failure(folder: Path, grid: list[Configuration]) -> None:
    kill = "import os; os.kill(os.getpid(), 9)"
    failures = run_all(folder, grid[:1], RunProgress(io.StringIO()), worker(kill))
    assert failures[0].reason == (
        "ended by SIGKILL while loading policy-f32.gguf and reward-f32.gguf; most likely memory "
        "ran out: choose a lower level, --context or width"
    )


def test_a_death_in_native_code_names_the_question(folder: Path, grid: list[Configuration]) -> None:
    """At the third question, with the models and what to try next; later it goes on there."""
    crash = """
import ctypes, profiles.run.worker
answer = profiles.run.worker.answer
def dying(configuration, models, method, problem):
    if problem.id == "2":
        print("ggml: a word of the library", file=sys.stderr, flush=True)
        ctypes.string_at(0)
    return answer(configuration, models, method, problem)
profiles.run.worker.answer = dying
"""
    failures = run_all(folder, grid[:1], RunProgress(io.StringIO()), worker(crash))
    assert failures[0].reason == (
        "ended by SIGSEGV while answering question 3 of 6 (id 2) with policy-f32.gguf and "
        "reward-f32.gguf; profile doctor tells what works on this machine; its log "
        "records/policy-torch-f32-sample-2.log ends with: ggml: a word of the library"
    )
    assert run_all(folder, grid[:1], RunProgress(io.StringIO()), worker()) == []
    assert len(read_records(stored_run.records_path(folder, grid[0]))) == 6


def test_lines_that_are_not_ours_are_passed_over(folder: Path, grid: list[Configuration]) -> None:
    noise = r"""
out = sys.stdout.buffer
for line in (b"warming up", b"{", b"[1]", b"7", b'{"a": 1}', b'{"event": 5}', b'{"event": []}',
             b'{"event": "question"}', b'{"event": "failed", "reason": 1}', b"\xff\xfe",
             b"[" * 100000, b'{"event": "of another program"}', b""):
    out.write(line + b"\n")
out.flush()
"""
    assert run_all(folder, grid[:1], RunProgress(io.StringIO()), worker(noise)) == []
    assert len(read_records(stored_run.records_path(folder, grid[0]))) == 6
    dead = noise + "\nimport os; os.abort()"
    for path in (folder / "records").glob("*.jsonl"):
        path.unlink()
    failures = run_all(folder, grid[:1], RunProgress(io.StringIO()), worker(dead))
    assert "ended by SIGABRT while loading policy-f32.gguf" in failures[0].reason


def test_a_bug_of_ours_is_named_and_its_traceback_kept(
    folder: Path, grid: list[Configuration]
) -> None:
    bug = """
import profiles.run.worker
def faulty(*_):
    raise KeyError("of ours")
profiles.run.worker.answer = faulty
"""
    failures = run_all(folder, grid[:1], RunProgress(io.StringIO()), worker(bug))
    log = "records/policy-torch-f32-sample-2.log"
    assert failures[0].reason == (
        f"KeyError: 'of ours' (a fault of ours; its traceback is in {log})"
    )
    assert "Traceback" in (folder / log).read_text()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_then_resumed_gives_the_same_summary(
    folder: Path,
    grid: list[Configuration],
    tmp_path: Path,
    stored: Callable[..., None],
    how: signal.Signals,
) -> None:
    class Nervous(RunProgress):
        """Stops the run at the third question."""

        def event(self, event: Event) -> None:
            super().event(event)
            if isinstance(event, Asking | Answered) and event.id == "2":
                signal.raise_signal(how)

    assert threading.current_thread() is threading.main_thread()
    with stoppable(), pytest.raises(KeyboardInterrupt):
        run_all(folder, grid, Nervous(io.StringIO()), worker())
    kept = read_records(stored_run.records_path(folder, grid[0]))
    assert 2 <= len(kept) < 6
    run_all(folder, grid, RunProgress(io.StringIO()), worker())

    unbroken = tmp_path / "unbroken"
    stored(unbroken, [], methods=["majority", "weighted"])
    stored_run.store_configurations(unbroken, grid)
    write_json(unbroken / stored_run.RUN, json.loads((folder / stored_run.RUN).read_text()))
    run_all(unbroken, grid, RunProgress(io.StringIO()), worker())
    assert outcomes(folder) == outcomes(unbroken)
