"""The header names hardware and versions, never the machine; peaks are of this process."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from profiles.environment import environment
from profiles.run.memory import peak_rss_bytes

ROOT = Path(__file__).parents[2]


def test_environment_is_complete_and_private() -> None:
    found = environment()
    text = json.dumps(asdict(found))
    assert found.cpu
    assert found.ram_bytes > 1 << 28
    assert found.packages["numpy"]
    assert str(Path.home()) not in text
    assert str(ROOT) not in text
    assert len(platform.node()) < 4 or platform.node() not in text


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_not_that_of_the_process_that_started_us() -> None:
    """`ru_maxrss` of a child starts with its parent's peak on Linux; ours must not."""
    ballast = bytearray(200 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    program = "from profiles.run.memory import peak_rss_bytes; print(peak_rss_bytes())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert 4 << 20 < int(done.stdout) < 100 << 20
    assert peak_rss_bytes() > 200 << 20
