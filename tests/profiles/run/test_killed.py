"""A long run on a real model, killed fifty times, is the same run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BENCHMARK

QUESTIONS, KILLS = 700, 50
MEASURED = ("_s", "_per_s", "_share", "_bytes")  # what a clock or a memory meter says
COUNTED = ("thought_share", "model_bytes", "reward_model_bytes", "kv_bytes")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The benchmark's problems over and over; each time they have another seed."""
    path = tmp_path / "problems.jsonl"
    problems = BENCHMARK.read_text().splitlines()
    path.write_text("".join(problems[n % len(problems)] + "\n" for n in range(QUESTIONS)))
    return path


def start(folder: Path, data: Path, policy: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "profiles", "run", "--policy", str(policy)]
    command += ["--methods", "greedy", "--data", str(data), "--limit", str(QUESTIONS)]
    command += ["--device", "cpu", "-o", str(folder), *more]
    with log(folder).open("wb") as said:
        return subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)


def log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "records").glob("*.jsonl"))


def ids(folder: Path) -> list[str]:
    """Of the questions that have a record, in the order of the problems."""
    (path,) = (folder / "records").glob("*.jsonl")
    found = [json.loads(line)["id"] for line in path.read_bytes().splitlines()]
    return sorted(found, key=int)


def workers(folder: Path) -> list[int]:
    """Workers of a run that are alive, orphans too."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if b"profiles.run.worker" in command and str(folder).encode() in command:
            found.append(int(entry.parent.name))
    return found


def summary(folder: Path) -> list[dict[str, Any]]:
    rows = json.loads((folder / "summary.json").read_text())["rows"]
    return [
        {k: v for k, v in row.items() if k in COUNTED or not k.endswith(MEASURED)} for row in rows
    ]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_fifty_kills_change_nothing(
    tmp_path: Path, data: Path, reference: Callable[[str, str], Path]
) -> None:
    policy = reference("policy", "q4_k_m")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    whole = start(unbroken, data, policy)
    assert whole.wait() == 0, log(unbroken).read_text()

    rng = random.Random(20)
    seen = []
    for moment in sorted(rng.randrange(QUESTIONS - 250) for _ in range(KILLS)):
        run = start(broken, data, policy, "--resume")
        while lines(broken) < moment and run.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.random() * rng.choice((0.03, 1.0)))  # inside a question, or while it loads
        assert run.poll() is None, log(broken).read_text()
        orphans = workers(broken)
        run.kill()
        run.wait()
        if rng.random() < 0.5:  # the worker too; else it notices, and the next one waits for it
            for orphan in orphans:
                os.kill(orphan, signal.SIGKILL)
        seen.append(lines(broken))
    assert len(set(seen)) > KILLS // 2, seen

    last = start(broken, data, policy, "--resume")
    assert last.wait() == 0, log(broken).read_text()
    assert lines(broken) == QUESTIONS
    assert ids(broken) == [str(n) for n in range(QUESTIONS)]  # none is lost, none is doubled
    assert summary(broken) == summary(unbroken)
    assert 0.5 < summary(broken)[0]["accuracy"] < 1
