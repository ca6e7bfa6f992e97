"""A run that nobody watches says once a minute how far it is and how well it does."""

from __future__ import annotations

import io

import pytest

from profiles.run.events import Answered
from profiles.run.progress import RunProgress


def test_off_a_terminal_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("convert.progress.time.monotonic", lambda: now_s)
    said = io.StringIO()
    run = RunProgress(said)
    run.start("greedy q4_k_m", 100, 0, 0)
    for number in range(4):
        now_s += 25
        run.event(Answered(str(number), correct=number < 2))
    run.stop(None)
    assert said.getvalue().splitlines() == [
        "greedy q4_k_m  3/100  accuracy 66.7 %",
        "greedy q4_k_m  4/100  accuracy 50.0 %  100 s",
    ]
