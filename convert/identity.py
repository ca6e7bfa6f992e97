"""What a model is for and how it is used: one value, settled before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from convert.artifact import (
    Artifact,
    PromptFormat,
    RewardProtocol,
    Role,
    ThoughtEmbedding,
    ThoughtProtocol,
)
from convert.checkpoint import Checkpoint
from convert.files import read_json
from convert.prompt_presets import prompt_preset
from convert.protocols import check_numbers, check_outputs, judged, role_of
from convert.refusal import Refusal
from convert.reward_presets import reward_protocol
from convert.roles import detect_role, outputs
from convert.thoughts import check_protocol, check_tensors, thought_protocol
from convert.tokenizer_files import has_chat_template

T = TypeVar("T")
KEYS = ("role", "prompt", "reward", "thought")  # of protocol.json


@dataclass(frozen=True, slots=True)
class Identity:
    """Role and protocols of a model; its artifact states them, and everything later reads them."""

    role: Role
    prompt: PromptFormat | None = None
    reward: RewardProtocol | None = None
    thought: ThoughtProtocol | None = None

    @property
    def reads_logits(self) -> bool:
        """Whether the output projection is read, not a head of its own in its place."""
        return self.reward is None or self.reward.kind == "token_logits"


def identify(
    checkpoint: Checkpoint,
    role: Role | None = None,
    thought_embedding: ThoughtEmbedding | None = None,
) -> Identity:
    """The identity of a checkpoint: as asked, else by its `protocol.json`, else by its layout.

    Raises:
        Refusal: for a protocol that the checkpoint cannot fulfil, or a thinker's tensor that is
            missing, misshapen or unknown.
    """
    path = checkpoint.folder / "protocol.json"
    tables = _tables(path)
    if role is None and "role" in tables:
        role = role_of(path, "role", tables["role"])
    role = role or detect_role(checkpoint)
    found = Identity(
        role,
        _stated(path, tables, "prompt", PromptFormat) or _prompt(checkpoint, role),
        _reward(checkpoint, path, tables) if role == "reward" else None,
        _thought(checkpoint, path, tables, thought_embedding) if role == "thinker" else None,
    )
    if found.reads_logits and not checkpoint.has_logits:
        raise Refusal(f"{checkpoint.folder} lacks tensor lm_head.weight, which a {role} reads")
    return found


def identity_of(artifact: Artifact) -> Identity:
    """What an artifact states."""
    return Identity(artifact.role, artifact.prompt, artifact.reward, artifact.thought)


def _tables(path: Path) -> dict[str, Any]:
    """What a protocol file says by key."""
    found = read_json(path)
    for key in found:
        if key not in KEYS:
            raise Refusal(f"{path} holds {key}; choose {', '.join(KEYS)}")
    return {key: value for key, value in found.items() if value is not None}


def _stated(path: Path, tables: dict[str, Any], key: str, kind: type[T]) -> T | None:
    return judged(kind, path, key, tables[key]) if key in tables else None


def _prompt(checkpoint: Checkpoint, role: Role) -> PromptFormat | None:
    """How a policy is asked that says nothing of it."""
    if role == "reward":
        return None
    folder = checkpoint.folder.resolve()
    return prompt_preset(
        folder.parents[1].name if folder.parent.name == "snapshots" else folder.name,
        chat=has_chat_template(folder),
        thinks=role == "thinker",
        context=checkpoint.shape.context,
    )


def _reward(checkpoint: Checkpoint, path: Path, tables: dict[str, Any]) -> RewardProtocol:
    found = _stated(path, tables, "reward", RewardProtocol) or reward_protocol(checkpoint)
    check_numbers(path, found, None, checkpoint.shape.vocab)
    if (count := outputs(checkpoint)) is not None:
        check_outputs(path, found, count)
    return found


def _thought(
    checkpoint: Checkpoint,
    path: Path,
    tables: dict[str, Any],
    embedding: ThoughtEmbedding | None,
) -> ThoughtProtocol:
    check_tensors(checkpoint)
    found = _stated(path, tables, "thought", ThoughtProtocol) or thought_protocol(checkpoint)
    if embedding:
        found = replace(found, embedding=embedding)
    check_protocol(checkpoint.folder, checkpoint.shape.vocab, found)
    check_numbers(path, None, found, checkpoint.shape.vocab)
    return found
