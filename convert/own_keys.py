"""The `starbase.*` keys of a GGUF: what an artifact states beyond llama.cpp's keys, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from convert.artifact import PromptFormat, RewardProtocol, ThoughtProtocol

PREFIX = "starbase."
PLAIN = ("role", "architecture", "source", "revision", "heads")  # fields of an `Artifact`
PROTOCOLS: dict[str, type[Any]] = {  # likewise; each field of theirs has a key of its own
    "prompt": PromptFormat,
    "reward": RewardProtocol,
    "thought": ThoughtProtocol,
}


def own_keys(facts: Mapping[str, Any]) -> Iterator[tuple[str, str | int]]:
    """Keys and values of an artifact's fields by name; what is None is left out."""
    for name in (*PLAIN, *PROTOCOLS):
        value = facts[name]
        if name in PROTOCOLS and value is not None:
            table = {f"{name}.{field}": inner for field, inner in asdict(value).items()}
        else:
            table = {name: value}
        yield from ((PREFIX + key, inner) for key, inner in table.items() if inner is not None)


def stated(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a file's keys say of a protocol; empty where they say nothing."""
    prefix = f"{PREFIX}{name}."
    return {key.removeprefix(prefix): v for key, v in values.items() if key.startswith(prefix)}
