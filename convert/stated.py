"""What a file says of a model: `protocol.json` beside its weights, or one that the user gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from convert.artifact import PromptFormat, RewardProtocol, Role, ThoughtProtocol
from convert.files import read_json
from convert.protocols import judged, role_of
from convert.refusal import Refusal, one_of

T = TypeVar("T")
KEYS = ("role", "prompt", "reward", "thought")


@dataclass(frozen=True, slots=True)
class Stated:
    """Role and protocols as they are stated; None where nothing is."""

    role: Role | None = None
    prompt: PromptFormat | None = None
    reward: RewardProtocol | None = None
    thought: ThoughtProtocol | None = None

    def over(self, other: Stated) -> Stated:
        """What is stated here, else there."""
        return Stated(
            self.role or other.role,
            self.prompt or other.prompt,
            self.reward or other.reward,
            self.thought or other.thought,
        )


def read_stated(path: Path) -> Stated:
    """What a file states; nothing where there is none. How a model scores makes it a reward model.

    Raises:
        Refusal: for a key that is unknown, or a protocol that does not hold; names it.
    """
    tables = {key: value for key, value in read_json(path).items() if value is not None}
    for key in tables:
        if key not in KEYS:
            raise Refusal(f"{path} holds {key}; choose {', '.join(KEYS)}")
    reward = _protocol(path, tables, "reward", RewardProtocol)
    role = role_of(path, "role", tables["role"]) if "role" in tables else None
    return Stated(
        role or (None if reward is None else "reward"),
        _protocol(path, tables, "prompt", PromptFormat),
        reward,
        _protocol(path, tables, "thought", ThoughtProtocol),
    )


def read_given(path: Path) -> Stated:
    """What a file states that must be there.

    Raises:
        FileNotFoundError: if it is not.
        Refusal: if it does not hold what it should; names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give a file as --protocol")
    return read_stated(path)


def asked_reward(path: Path) -> RewardProtocol:
    """How a reward model scores, as `--protocol` states it: a file, or one of `NAMED`.

    Raises:
        FileNotFoundError: if it is neither.
        Refusal: if the file does not say so.
    """
    from convert.reward_presets import NAMED

    if not path.exists():
        if str(path) not in NAMED:
            raise FileNotFoundError(f"{path} does not exist; give a file, {one_of(NAMED)}")
        return NAMED[str(path)].protocol
    found = read_given(path).reward
    if found is None:
        raise Refusal(f"{path} does not say how a model scores; give it the key reward")
    return found


def _protocol(path: Path, tables: dict[str, Any], key: str, kind: type[T]) -> T | None:
    return judged(kind, path, key, tables[key]) if key in tables else None
