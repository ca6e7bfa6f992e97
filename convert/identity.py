"""What a model is for and how it is used: one value, settled before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from convert.artifact import (
    Artifact,
    PromptFormat,
    RewardProtocol,
    Role,
    ThoughtEmbedding,
    ThoughtProtocol,
)
from convert.checkpoint import Checkpoint
from convert.prompt_presets import prompt_preset
from convert.protocols import check_numbers, check_outputs
from convert.refusal import Refusal
from convert.reward_presets import reward_protocol
from convert.roles import architecture_of, detect_role, is_reward_class, outputs, repository
from convert.stated import Stated, read_stated
from convert.thoughts import check_protocol, check_tensors, thought_protocol
from convert.tokenizer_files import has_chat_template

ASKED = Path("--protocol")  # as errors name it


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
        return self.reward is None or self.reward.reads_logits


def identify(
    checkpoint: Checkpoint,
    role: Role | None = None,
    thought_embedding: ThoughtEmbedding | None = None,
    stated: Stated | None = None,
    separator: str | None = None,
) -> Identity:
    """The identity of a checkpoint: as asked, else by its `protocol.json`, else by its layout.

    `stated` goes before `protocol.json`; `separator` is what a token classifier scores at.

    Raises:
        Refusal: for a protocol that the checkpoint cannot fulfil, or a thinker's tensor that is
            missing, misshapen or unknown.
    """
    path = checkpoint.folder / "protocol.json"
    said = (stated or Stated()).over(read_stated(path))
    path = path if stated is None else ASKED
    role = role or said.role or detect_role(checkpoint)
    if role != "reward" and is_reward_class(checkpoint):
        raise Refusal(
            f"{checkpoint.folder} is a {architecture_of(checkpoint)}, a reward model and no "
            f"{role}; choose --role reward"
        )
    found = Identity(
        role,
        said.prompt or _prompt(checkpoint, role),
        _reward(checkpoint, path, said.reward, separator) if role == "reward" else None,
        _thought(checkpoint, path, said.thought, thought_embedding) if role == "thinker" else None,
    )
    if found.reads_logits and not checkpoint.has_logits:
        raise Refusal(f"{checkpoint.folder} lacks tensor lm_head.weight, which a {role} reads")
    return found


def identity_of(artifact: Artifact) -> Identity:
    """What an artifact states."""
    return Identity(artifact.role, artifact.prompt, artifact.reward, artifact.thought)


def as_reward(artifact: Artifact, protocol: RewardProtocol) -> Artifact:
    """A file that is no checkpoint, taken for a reward model that scores as a protocol says.

    Raises:
        Refusal: if it has no such tokens, or no head where the protocol reads one.
    """
    check_numbers(ASKED, protocol, None, artifact.shape.vocab)
    if protocol.kind != "token_logits" and artifact.heads is None:
        raise Refusal(
            f"{artifact.path.name} has no reward head, which kind {protocol.kind} reads; choose "
            "token_logits, or convert the checkpoint with this protocol"
        )
    return replace(artifact, role="reward", prompt=None, reward=protocol, thought=None)


def _prompt(checkpoint: Checkpoint, role: Role) -> PromptFormat | None:
    """How a policy is asked that says nothing of it."""
    if role == "reward":
        return None
    return prompt_preset(
        repository(checkpoint.folder),
        chat=has_chat_template(checkpoint.folder),
        thinks=role == "thinker",
        context=checkpoint.shape.context,
    )


def _reward(
    checkpoint: Checkpoint, path: Path, stated: RewardProtocol | None, separator: str | None
) -> RewardProtocol:
    found = stated or reward_protocol(checkpoint, separator)
    check_numbers(path, found, None, checkpoint.shape.vocab)
    if (count := outputs(checkpoint)) is not None:
        check_outputs(path, found, count)
    return found


def _thought(
    checkpoint: Checkpoint,
    path: Path,
    stated: ThoughtProtocol | None,
    embedding: ThoughtEmbedding | None,
) -> ThoughtProtocol:
    check_tensors(checkpoint)
    found = stated or thought_protocol(checkpoint)
    if embedding:
        found = replace(found, embedding=embedding)
    check_protocol(checkpoint.folder, checkpoint.shape.vocab, found)
    check_numbers(path, None, found, checkpoint.shape.vocab)
    return found
