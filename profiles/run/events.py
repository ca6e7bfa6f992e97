"""What a worker tells the run that started it: one JSON line an event on its standard output."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from convert.refusal import Refusal
from convert.typed import typed


@dataclass(frozen=True, slots=True)
class Loaded:
    """The models are open."""

    device: str
    load_s: float


@dataclass(frozen=True, slots=True)
class Asking:
    """A question begins."""

    id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A question is over and its record written."""

    id: str
    correct: bool


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The worker gives up."""

    reason: str


Event = Loaded | Asking | Answered | GaveUp
KINDS: dict[str, type[Event]] = {
    "loaded": Loaded,
    "asking": Asking,
    "question": Answered,
    "failed": GaveUp,
}
NAMES = {kind: name for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class _Named:
    event: str


def event_line(event: Event) -> str:
    """An event as a worker prints it, without the line's end."""
    return json.dumps({"event": NAMES[type(event)]} | asdict(event))


def read_event(line: str) -> Event | None:
    """The event in a line; None for what a library printed there."""
    content = line.encode()
    try:
        kind = KINDS.get(typed(_Named, content, "no event").event)
        return None if kind is None else typed(kind, content, "no event")
    except Refusal:
        return None
