"""Real servers on free ports, one for all tests that ask the same of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faulty import command

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

START_S = 120.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server process and a client that reaches it."""

    process: subprocess.Popen[str]
    url: str
    client: Any

    def metric(self, name: str) -> float:
        found = re.search(rf"^starbase_edge_{name} (\S+)$", self.client.get("/metrics").text, re.M)
        assert found, name
        return float(found[1])

    def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextmanager
def serving(*arguments: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [command("serve"), "--port", "0", "--threads", "1", *arguments],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    assert process.stderr is not None
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"at (http://\S+),", line):
                break
        else:
            raise AssertionError("".join(said))
        with httpx.Client(base_url=found[1], timeout=60.0) as client:
            yield Running(process, found[1], client)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


@pytest.fixture(scope="session")
def server(reference: Callable[[str, str], Any]) -> Iterator[Running]:
    """The reference pair."""
    policy, reward = reference("policy", "q4_k_m"), reference("reward", "q4_k_m")
    with serving("--policy", str(policy), "--reward", str(reward)) as running:
        yield running


@pytest.fixture(scope="session")
def thinker(reference: Callable[[str, str], Any]) -> Iterator[Running]:
    """A model that thinks, and nobody who judges."""
    with serving("--policy", str(reference("thinker", "q4_k_m"))) as running:
        yield running
