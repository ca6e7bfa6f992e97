"""A run on a Ray cluster that loses a worker and a node is the run of one machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BENCHMARK
from tests.profiles.run.test_killed import summary

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
QUESTIONS = 36


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one thread each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.spare = made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def start(folder: Path, policy: Path, reward: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "profiles", "run", "--policy", str(policy)]
    command += ["--reward", str(reward), "--methods", "greedy", "majority", "rebase"]
    command += ["--width", "2", "--parallel", "2", "--latency-questions", "2", "--threads", "1"]
    command += ["--data", str(BENCHMARK), "--limit", str(QUESTIONS), "--device", "cpu"]
    with folder.with_suffix(".log").open("ab") as said:
        return subprocess.Popen([*command, "-o", str(folder), *more], stdout=said, stderr=said)


def untimed(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "questions_per_min"} for row in summary(folder)]


def stations() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::Station"):
            found.append(int(entry.parent.name))
    return found


def lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("records/*[0-9].jsonl"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_lost_worker_and_a_lost_node_change_nothing(
    cluster: Any, tmp_path: Path, reference: Callable[[str, str], Path]
) -> None:
    models = reference("policy", "q4_k_m"), reference("reward", "q4_k_m")
    one, many = tmp_path / "one", tmp_path / "many"
    assert start(one, *models).wait() == 0, one.with_suffix(".log").read_text()
    run = start(many, *models, "--ray", cluster.address)
    while lines(many) < 4 and run.poll() is None:
        time.sleep(0.01)
    os.kill(stations()[0], signal.SIGKILL)
    while lines(many) < 40 and run.poll() is None:
        time.sleep(0.01)
    cluster.remove_node(cluster.spare, allow_graceful=False)
    said = many.with_suffix(".log")
    assert run.wait() == 0, said.read_text()
    assert "lost the worker of" in said.read_text()
    assert untimed(many) == untimed(one)
    written = json.loads((many / "summary.json").read_text())
    assert sum(line["n"] for line in written["hosts"]) == QUESTIONS * len(written["rows"])
