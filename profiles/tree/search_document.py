"""What `solve --tree` writes, as its reader needs it."""

from __future__ import annotations

from dataclasses import dataclass

from methods.catalog import Selection


@dataclass(frozen=True, slots=True)
class SavedStep:
    """A step of a path."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class SavedChild:
    """A scored candidate of one stage, and the step that it grew by."""

    branch: int
    parent: int | None
    score: float
    finished: bool
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class SavedStage:
    """One depth of a tree."""

    depth: int
    budget: int | None
    candidates: list[SavedChild]


@dataclass(frozen=True, slots=True)
class SavedPath:
    """A path that voted."""

    branch: int
    answer: str | None
    finished: bool
    score: float | None
    scores: list[float]
    steps: list[SavedStep]


@dataclass(frozen=True, slots=True)
class SavedUsage:
    """What a model worked."""

    prefill_tokens: float
    decode_tokens: float
    calls: float


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """A whole search."""

    question: str
    levels: list[SavedStage]
    answer: str | None
    selection: Selection
    candidates: list[SavedPath]
    usage: SavedUsage
    scorer_usage: SavedUsage
    latency_s: float
    ttft_s: float
    dropped: int
