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

from profiles import store
from profiles.configurations import Configuration
from profiles.progress import Progress
from profiles.records import read_records
from profiles.runner import run_all
from profiles.summary import summarize

ROOT = Path(__file__).parents[2]
WORKER = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from test_worker import scripted
from profiles.worker import main
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
    store.store_configurations(path, grid)
    run = json.loads((path / store.RUN).read_text())
    run |= {"configurations": [one.slug for one in grid], "questions": 6}
    store.write_json(path / store.RUN, run)
    return path


def outcomes(folder: Path) -> list[tuple[Any, ...]]:
    """The summary without what a clock or a memory meter says."""
    return [
        (r.level, r.method, r.n, r.accuracy, r.delta_accuracy, r.flips_lost, r.flops_per_question)
        for r in summarize(folder).rows
    ]


def test_all_configurations_run_and_say_so(folder: Path, grid: list[Configuration]) -> None:
    log = io.StringIO()
    assert run_all(folder, grid, Progress(log), worker()) == []
    assert [len(read_records(store.records_path(folder, one))) for one in grid] == [6, 6]
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("[1/2] policy-torch-f32-sample-2  6/6  accuracy ")
    assert len(lines) == 2
    assert not list(folder.rglob("*.log"))
    assert {row[1] for row in outcomes(folder)} == {"majority", "weighted"}


def test_a_failure_is_reported_and_does_not_stop_the_rest(
    folder: Path, grid: list[Configuration]
) -> None:
    crash = "if 'f32' in sys.argv[1]: sys.exit('no memory left')"
    failures = run_all(folder, grid, Progress(io.StringIO()), worker(crash))
    assert [(f.slug, f.reason) for f in failures] == [
        ("policy-torch-f32-sample-2", "exit code 1: no memory left")
    ]
    assert len(read_records(store.records_path(folder, grid[1]))) == 6


def test_a_worker_that_is_killed_is_a_failure(folder: Path, grid: list[Configuration]) -> None:
    kill = "import os; os.kill(os.getpid(), 9)"
    failures = run_all(folder, grid[:1], Progress(io.StringIO()), worker(kill))
    assert failures[0].reason == "ended by signal 9"


def test_interrupted_then_resumed_gives_the_same_summary(
    folder: Path, grid: list[Configuration], tmp_path: Path, stored: Callable[..., None]
) -> None:
    class Nervous(Progress):
        """Presses Ctrl-C at the third question."""

        def event(self, event: dict[str, Any]) -> None:
            super().event(event)
            if event.get("id") == "2":
                signal.raise_signal(signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        run_all(folder, grid, Nervous(io.StringIO()), worker())
    kept = read_records(store.records_path(folder, grid[0]))
    assert 3 <= len(kept) < 6
    run_all(folder, grid, Progress(io.StringIO()), worker())

    unbroken = tmp_path / "unbroken"
    stored(unbroken, [], methods=["majority", "weighted"])
    store.store_configurations(unbroken, grid)
    store.write_json(unbroken / store.RUN, json.loads((folder / store.RUN).read_text()))
    run_all(unbroken, grid, Progress(io.StringIO()), worker())
    assert outcomes(folder) == outcomes(unbroken)
