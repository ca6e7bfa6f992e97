"""A library that dies or computes wrong numbers is met by a child, never by the user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert import selftest
from convert.ggml import type_name
from convert.gguf_header import read_header
from tests import faulty

QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?"
Q8_0, Q4_K, Q6_K = 8, 12, 14


def solve(policy: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    arguments = ["--policy", str(policy), "--method", "greedy", "--device", "cpu", QUESTION]
    return subprocess.run(
        [faulty.command("solve"), *arguments],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def policy(reference: Callable[[str, str], Path]) -> Path:
    return reference("policy", "q4_k_m")


def test_solve_goes_on_in_safe_mode_and_says_so(policy: Path, tmp_path: Path) -> None:
    environment = faulty.environment(tmp_path, fatal=(True,))
    done = solve(policy, environment)
    assert done.returncode == 0, done.stderr
    assert "Answer: 28" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "safe mode, slower" in line]
    assert "SIGSEGV" in line
    assert "make rebuild" in line
    assert re.search(r"CPU, \d+ threads?, safe mode", done.stderr)
    (note,) = (tmp_path / "cache" / "starbase-edge" / "selftest").iterdir()
    before = note.stat().st_mtime_ns
    assert solve(policy, environment).returncode == 0  # the verdict is kept
    assert note.stat().st_mtime_ns == before


def test_where_nothing_works_one_line_says_it(policy: Path, tmp_path: Path) -> None:
    done = solve(policy, faulty.environment(tmp_path, fatal=(True, False)))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("solve: error: llama.cpp does not work with ")
    assert "SIGSEGV" in line
    assert "rebuild" in line


def test_a_death_that_no_test_foresaw_is_one_line_too(policy: Path, tmp_path: Path) -> None:
    when = "'selftest_child' not in ' '.join(sys.orig_argv)"
    done = solve(policy, faulty.environment(tmp_path, fatal=(True, False), when=when))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == (
        "solve: error: ended by SIGSEGV while working with policy-q4_k_m.gguf; "
        "profile doctor tells what works on this machine"
    )


@pytest.mark.skipif("FAULTY_LLAMA" not in os.environ, reason="no library to die with is named")
def test_a_real_faulty_build(policy: Path, tmp_path: Path) -> None:
    """FAULTY_LLAMA: libraries that GCC 12.2 built with AMX, on a processor that has it."""
    library = {"LLAMA_CPP_LIB_PATH": os.environ["FAULTY_LLAMA"]}
    done = solve(policy, os.environ | library | {"XDG_CACHE_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "Answer: 28" in done.stdout
    assert "safe mode, slower" in done.stderr


def test_a_death_costs_only_the_type_it_met(monkeypatch: pytest.MonkeyPatch) -> None:
    def child(request: dict[str, Any], *_: Any, **__: Any) -> tuple[list[dict[str, Any]], str]:
        events: list[dict[str, Any]] = []
        for kind in request["types"]:
            events.append({"begun": kind})
            if kind == Q4_K and not request["safe"]:
                return events, "ended by SIGILL while at work"
            wrong = "wrong by 3.00 standard deviations" if kind == Q6_K else ""
            events.append({"ended": kind, "failed": wrong})
        return events, ""

    monkeypatch.setattr(selftest, "run_child", child)
    found = selftest._ask([Q8_0, Q4_K, Q6_K], 0)
    modes = {kind: verdict.mode for kind, verdict in found.items()}
    assert modes == {Q8_0: "works", Q4_K: "safe", Q6_K: "fails"}
    assert "SIGILL" in found[Q4_K].said
    assert "wrong by 3.00" in found[Q6_K].said


def test_a_child_that_says_nothing_ends_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "run_child", lambda *_, **__: ([], "exit code 1: no module"))
    found = selftest._ask([Q8_0, Q4_K], 0)
    assert {verdict.mode for verdict in found.values()} == {"fails"}


def test_who_took_too_long_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(selftest, "cache_folder", lambda _: tmp_path)
    busy = ["", "did not answer in 120 s"]
    asked = []

    def child(request: dict[str, Any], *_: Any, **given: Any) -> tuple[list[dict[str, Any]], str]:
        first, *others = request["types"]
        asked.append(((first, *others), given["patience_s"]))
        events: list[dict[str, Any]] = [{"begun": first}, {"ended": first, "failed": ""}]
        return [*events, *({"begun": kind} for kind in others)], busy.pop()

    monkeypatch.setattr(selftest, "run_child", child)
    found = selftest.verdicts([Q8_0, Q4_K])
    assert [verdict.mode for verdict in found.values()] == ["works", "safe"]
    busy += [""]
    found = selftest.verdicts([Q8_0, Q4_K])
    assert [verdict.mode for verdict in found.values()] == ["works", "works"]
    assert asked == [((Q8_0, Q4_K), 240.0), ((Q4_K,), 120.0), ((Q4_K,), 120.0)]


def test_a_child_has_its_time() -> None:
    _, end = selftest.run_child({}, "asleep", "tests.convert.asleep", patience_s=1.0)
    assert end == "did not answer in 1 s"


def test_this_library_works_here(reference: Callable[[str, str], Path]) -> None:
    types = {tensor.type for tensor in read_header(reference("policy", "q4_k_m")).tensors}
    assert {type_name(kind) for kind in types} == {"f32", "q4_K", "q6_K"}
    assert {verdict.mode for verdict in selftest.verdicts(types).values()} == {"works"}


def test_wrong_numbers_are_noticed(tmp_path: Path) -> None:
    """A library whose logits are off by a factor computes, and is refused all the same."""
    environment = faulty.environment(tmp_path, fatal=())
    hook = tmp_path / "hook" / "sitecustomize.py"
    wrong = """    seen = []
    real = module.llama_get_logits
    def spoiled_logits(context):
        rows = real(context)
        for i in range(256 if seen[-1] else 0):
            rows[i] *= 1.5
        return rows
    module.llama_get_logits = spoiled_logits
"""
    text = hook.read_text(encoding="utf-8")
    hook.write_text(text.replace("    seen = []\n", wrong), encoding="utf-8")
    code = "from convert.selftest import verdicts; print(verdicts([8])[8])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "mode='safe'" in done.stdout
    assert "wrong by" in done.stdout


def test_profile_run_says_it_once_and_goes_on(policy: Path, tmp_path: Path) -> None:
    arguments = ["run", "--policy", str(policy), "--methods", "greedy", "--limit", "2"]
    done = subprocess.run(
        [faulty.command("profile"), *arguments, "--device", "cpu", "-o", str(tmp_path / "report")],
        env=faulty.environment(tmp_path, fatal=(True,)),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("safe mode, slower") == 1
