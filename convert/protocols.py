"""Protocols as a file states them: how a model is asked, scores and thinks. Judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from convert import bounds
from convert.artifact import RewardProtocol, Role, ThoughtProtocol
from convert.prompt_presets import SHOTS
from convert.refusal import Refusal, reading
from convert.typed import typed

T = TypeVar("T")
QUESTION = "{question}"
AHEAD = (4, 1 << 12)  # positions of a thought
NOT_EMPTY = ("step_tag", "step_stop")


def judged(kind: type[T], path: Path, where: str, table: Any) -> T:
    """The protocol that a table holds; `where` in the file it stands goes into the refusal.

    Raises:
        Refusal: for a key that is missing or unknown, a value of another type, a template without
            a place for the question, or a step that nothing ends.
    """
    if not isinstance(table, Mapping):
        raise Refusal(f"{path} gives {where} {bounds.shown(table)}; choose a table")
    anything: Any = kind
    known = [field.name for field in fields(anything)]
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in known:
            raise Refusal(f"{path} gives {where}.{key}; choose {', '.join(known)}")
        choices = get_args(hints[key]) if get_origin(hints[key]) is Literal else ()
        if choices and value not in choices:
            shown = bounds.shown(value)
            raise Refusal(f"{path} gives {where}.{key} {shown}; choose {', '.join(choices)}")
        if key == "template" and isinstance(value, str) and QUESTION not in value:
            raise Refusal(f"{path} gives {where}.template without {QUESTION}; put it there")
        if key == "shots":
            bounds.integer(path, f"{where}.{key}", value, (0, SHOTS))
        if key in NOT_EMPTY and value == "":
            raise Refusal(f"{path} gives {where}.{key} no text; choose what ends a step")
    plain = {key: _plain(path, f"{where}.{key}", key, value) for key, value in table.items()}
    return typed(kind, json.dumps(plain).encode(), f"{path}: {where}")


def _plain(path: Path, where: str, key: str, value: Any) -> Any:
    """A value as its field holds it: the variables of a chat template as the text of their table.

    Raises:
        Refusal: for variables that are no table.
    """
    if key != "variables" or value is None:
        return value
    if isinstance(value, str):
        with reading(path):
            value = json.loads(value)
    if not isinstance(value, dict):
        raise Refusal(f"{path} gives {where} {bounds.shown(value)}; choose a table")
    return json.dumps(value, ensure_ascii=False)


def role_of(path: Path, key: str, value: Any) -> Role:
    """The role that a file states."""
    roles: tuple[Role, ...] = get_args(Role)
    for role in roles:
        if value == role:
            return role
    raise Refusal(f"{path} gives {key} {bounds.shown(value)}; choose {', '.join(roles)}")


def check_numbers(
    path: Path, reward: RewardProtocol | None, thought: ThoughtProtocol | None, vocab: int
) -> None:
    """Refuse tokens that a vocabulary of that size lacks, and thoughts without end."""
    ids: dict[str, int | None] = {}
    if reward is not None:
        ids |= {"reward.good_id": reward.good_id, "reward.bad_id": reward.bad_id}
        if reward.reads_logits and None in ids.values():
            raise Refusal(f"{path}: reward kind token_logits needs both good_id and bad_id")
    if thought is not None:
        ids |= {"thought.start_id": thought.start_id, "thought.end_id": thought.end_id}
        bounds.integer(path, "thought.n_ahead", thought.n_ahead, AHEAD)
    for key, value in ids.items():
        if value is not None:
            bounds.integer(path, key, value, (0, vocab - 1))


def check_outputs(path: Path, reward: RewardProtocol, outputs: int) -> None:
    """Refuse a reward protocol that a head with so many outputs cannot fulfil."""
    if reward.kind == "value" and outputs != 1:
        raise Refusal(f"{path}: reward kind value needs a head of 1 output, it has {outputs}")
    if reward.kind == "classify":
        bounds.integer(path, "reward.positive_index", reward.positive_index, (0, outputs - 1))
