"""SIGINT, SIGTERM and SIGHUP end every phase of every command in order: exit code, no residue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import save_tiny
from tests.faulty import command
from tests.reliability.test_kills import family

SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?"
WAIT_S = 60.0

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@contextmanager
def running(name: str, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [command(name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        **options,
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)


def until(condition: Callable[[], object], child: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.poll() is None, child.communicate()


def end(child: subprocess.Popen[str], name: str, *, group: bool) -> str:
    """Send a signal to the process a user sees, or to all as a terminal does; what it said."""
    number = getattr(signal, name)
    (os.killpg if group else os.kill)(child.pid, number)
    _, err = child.communicate(timeout=WAIT_S)
    assert child.returncode == SIGNALS[name], err
    assert "Traceback" not in err
    assert family(child.pid) == []
    return err


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose export takes a moment."""
    from transformers import MistralConfig, MistralForCausalLM

    folder = tmp_path_factory.mktemp("sources") / "large"
    sizes = {"num_hidden_layers": 16, "hidden_size": 512, "intermediate_size": 2048}
    save_tiny(folder, MistralForCausalLM, MistralConfig, **sizes)
    return folder


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("stage", ["export", "quantize", "onnx"])
def test_convert(tmp_path: Path, large: Path, name: str, stage: str) -> None:
    out = tmp_path / "out"
    awaited, more = {
        "export": ("*-f16.gguf.part", ["f16", "bf16", "f32"]),
        "quantize": ("*-iq3_s.gguf.part", ["iq3_s", "iq3_m", "q3_k_m"]),
        "onnx": ("*.onnx.data.part", ["int4", "int8", "--format", "onnx"]),
    }[stage]
    with running("convert", str(large), "-o", str(out), "--quant", *more) as child:
        until(lambda: [p for p in out.glob(awaited) if p.stat().st_size], child)
        said = end(child, name, group=name == "SIGINT")
    assert said.splitlines() == [f"convert: {'interrupted' if name == 'SIGINT' else name}"]
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", SIGNALS)
def test_calibration(tmp_path: Path, name: str) -> None:
    text, out = tmp_path / "text", tmp_path / "out"
    text.write_text("Step 1: 3 + 4 = 7. " * 40_000, encoding="utf-8")
    with running("convert", "--quant", "q2_k", "--calibrate", str(text), "-o", str(out)) as child:
        until(lambda: list(out.glob("*-master.gguf.part")), child)
        time.sleep(1.0)
        end(child, name, group=False)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("phase", ["loading", "decoding"])
def test_solve(reference: Callable[[str, str], Path], name: str, phase: str) -> None:
    policy = reference("policy", "q4_k_m")
    arguments = ["--policy", str(policy), "--method", "majority", "--width", "200"]
    arguments += ["--context", "60000", "--max-tokens", "4000", "--temperature", "3"]
    with running("solve", *arguments, QUESTION) as child:
        assert child.stderr is not None
        if phase == "loading":
            time.sleep(0.3)
        else:
            assert child.stderr.readline().startswith("policy: ")
            time.sleep(0.2)
        end(child, name, group=name == "SIGINT")


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("phase", ["loading", "questions"])
def test_profile_run(
    tmp_path: Path, reference: Callable[[str, str], Path], name: str, phase: str
) -> None:
    out = tmp_path / "report"
    policy = str(reference("policy", "q4_k_m"))
    arguments = ["run", "--policy", policy, "--methods", "greedy", "--limit", "500"]

    def lines() -> int:
        return sum(path.read_bytes().count(b"\n") for path in out.glob("records/*.jsonl"))

    with running("profile", *arguments, "-o", str(out)) as child:
        if phase == "loading":
            until(lambda: list(out.glob("records/*.log")), child)
        else:
            until(lambda: lines() > 2, child)
        said = end(child, name, group=name == "SIGINT")
    assert f"--limit 500 -o {out} --resume" in said
    assert not list(out.rglob("*.part"))
    kept = lines()
    assert all(path.read_bytes().endswith(b"\n") for path in out.glob("records/*.jsonl") if kept)


def test_nohup_is_respected(tmp_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    out = tmp_path / "out"
    with running("convert", "--quant", "q8_0", "-o", str(out), preexec_fn=ignore) as child:
        time.sleep(0.3)
        os.killpg(child.pid, signal.SIGHUP)
        _, err = child.communicate(timeout=WAIT_S)
    assert (child.returncode, err) == (0, "")


def test_the_second_of_two_conversions_waits(tmp_path: Path, large: Path) -> None:
    arguments = [str(large), "-o", str(tmp_path / "out"), "--quant", "q3_k_m"]
    with running("convert", *arguments) as first:
        until(lambda: list((tmp_path / "out").glob("*.part")), first)
        with running("convert", *arguments) as second:
            _, err = second.communicate(timeout=WAIT_S)
        _, said = first.communicate(timeout=WAIT_S)
    assert (first.returncode, said) == (0, "")
    assert second.returncode == 1
    waits, refused = err.splitlines()
    assert waits == f"waiting: another process is writing {tmp_path / 'out' / 'large'}"
    assert "large-q3_k_m.gguf exists; give --force" in refused


TWICE = """
import os, signal, sys
from convert import command
def say(text, file):
    os.kill(os.getpid(), signal.SIGINT)  # from the terminal, and from the process that watches
    print(text, file=file)
command.say = say
code = command.run("told", lambda: os.kill(os.getpid(), signal.SIGINT), supervised=True)
os.kill(os.getpid(), signal.SIGINT)
sys.exit(code)
"""


def test_a_signal_that_comes_again_while_the_first_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "told: interrupted\n")
