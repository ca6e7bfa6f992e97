"""What run.json holds: the header of a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from methods.catalog import ProtocolName


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
class GraphicsCard:
    """A graphics card."""

    name: str
    memory: str
    driver: str


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine and the software."""

    date: str
    cpu: str
    cores: int | None
    threads: int | None
    usable_threads: int
    ram_bytes: int
    gpus: list[GraphicsCard]
    system: str
    python: str
    packages: dict[str, str]
    commit: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A configuration that did not come to its end."""

    slug: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunDocument:
    """What a run was asked for and where it ran."""

    command: str
    models: AskedModels
    data: Questions
    questions: int
    seed: int
    protocols: list[ProtocolName]
    search: dict[str, Any]
    methods: list[str]
    configurations: list[str]
    environment: Environment
    failures: list[Failed] = field(default_factory=list)
    hosts: list[Environment] = field(default_factory=list)  # of a run on several machines
    suite: bool = False
    branches: int | None = None  # in a call, where --parallel auto measured them
