"""What run.json holds: the header of a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from methods.catalog import ProtocolName
from profiles.environment import Environment


@dataclass(frozen=True, slots=True)
class AskedModels:
    """The models as they were asked for."""

    policy: str
    reward: str | None
    thinker: str | None = None


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A configuration that did not come to its end, and why."""

    slug: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunDocument:
    """What a run was asked for and where it ran; no folder of this machine is in it."""

    command: str
    models: AskedModels
    data: Questions
    questions: int
    seed: int
    protocols: list[ProtocolName]
    search: dict[str, Any]  # options by name, those that a method alone has too
    methods: list[str]
    configurations: list[str]
    environment: Environment
    failures: list[Failure] = field(default_factory=list)
    hosts: list[Environment] = field(default_factory=list)  # of a run on several machines
    suite: bool = False
    branches: int | None = None  # in a call, where --parallel auto measured them
    streams: int | None = None  # likewise, where each has cells of its own
