"""A worker's events are lines of JSON of a known form; all else there is somebody else's."""

from __future__ import annotations

import json

import pytest

from profiles.run.events import Answered, Asking, Event, GaveUp, Loaded, event_line, read_event


@pytest.mark.parametrize(
    ("event", "written"),
    [
        (Loaded("cpu", 0.5), {"event": "loaded", "device": "cpu", "load_s": 0.5}),
        (Asking("7"), {"event": "asking", "id": "7"}),
        (Answered("7", True), {"event": "question", "id": "7", "correct": True}),
        (GaveUp("no memory"), {"event": "failed", "reason": "no memory"}),
    ],
)
def test_an_event_is_one_line_and_reads_back(event: Event, written: dict[str, object]) -> None:
    line = event_line(event)
    assert "\n" not in line
    assert json.loads(line) == written
    assert read_event(line + "\n") == event


@pytest.mark.parametrize(
    "line",
    [
        "warming up",
        "[1]",
        '{"event": 5}',
        '{"event": "of another program"}',
        '{"event": "question", "id": "1"}',
        '{"event": "question", "id": "1", "correct": "yes"}',
        "[" * 100_000,
        "\ufffd",
    ],
)
def test_what_a_library_prints_is_no_event(line: str) -> None:
    assert read_event(line) is None
