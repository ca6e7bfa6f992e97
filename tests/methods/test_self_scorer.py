"""A policy that judges itself in whole searches, whatever else they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from methods.cli import main as solve
from tests.methods.fitted import fitted

QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20 of them. How many rolls are left?"
Reference = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("think", "method", "times"),
    [
        ("on", "rebase", ""),
        ("gated --gate 1", "best-of-n", ""),
        ("on", "dora", ""),
        ("on", "ets", "reward"),
    ],
)
def test_a_thinker_judges_itself(
    think: str,
    method: str,
    times: str,
    reference: Reference,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = fitted(reference("thinker", "q4_k_m"), tmp_path)
    reward = "self" + (f"*{reference(times, 'q4_k_m')}" if times else "")
    asked = [QUESTION, "--policy", str(policy), "--reward", reward, "--think", *think.split()]
    asked += ["--method", method, "--width", "3", "--device", "cpu", "--threads", "1", "--json"]
    assert solve(asked) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["usage"]["thoughts"] > 0
    assert (answer["scorer_usage"]["prefill_tokens"] > 0) == bool(times)
    scores = [score for path in answer["candidates"] for score in path["scores"]]
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) > 1
