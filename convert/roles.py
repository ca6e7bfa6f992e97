"""What a checkpoint is for: policy, reward model, or thinker."""

from __future__ import annotations

from pathlib import Path

from convert.artifact import Role
from convert.checkpoint import Checkpoint
from convert.hub import repository_of
from convert.thoughts import THOUGHT_TENSORS

REWARD_CLASSES = (
    "ForTokenClassification",
    "ForSequenceClassification",
    "ForProcessRewardModel",
    "ForRewardModel",
    "ForPrmModel",
)
REWARD_NAMES = ("shepherd", "-prm", "prm-", "-orm-")  # of causal models that score with tokens
REWARD_HEADS = ("score.", "v_head.")
POLICY_NAMES = ("math-shepherd-mistral-7b-rl",)


def detect_role(checkpoint: Checkpoint) -> Role:
    """The role that architecture, tensor names and the repository's name tell."""
    names = checkpoint.tensors
    if any(name.startswith(THOUGHT_TENSORS) for name in names):
        return "thinker"
    if is_reward_class(checkpoint) or any(name.startswith(REWARD_HEADS) for name in names):
        return "reward"
    name = repository(checkpoint.folder).lower()
    if any(part in name for part in POLICY_NAMES):
        return "policy"
    return "reward" if any(part in name for part in REWARD_NAMES) else "policy"


def architecture_of(checkpoint: Checkpoint) -> str:
    """The model class that config.json names; empty if none."""
    named = checkpoint.config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def repository(folder: Path) -> str:
    """The name of the repository that a folder is a copy of, as far as its path tells."""
    known = repository_of(folder)
    return known[0] if known else folder.resolve().name


def is_reward_class(checkpoint: Checkpoint) -> bool:
    """Whether the model class is one that gives scores; a value head alone may be a policy's."""
    return architecture_of(checkpoint).endswith(REWARD_CLASSES)


def outputs(checkpoint: Checkpoint) -> int | None:
    """How many numbers a reward head gives; None where there is none that is known here."""
    last = [t for name, t in checkpoint.tensors.items() if _is_last_layer(name)]
    return last[-1].shape[0] if last and last[-1].shape else None


def _is_last_layer(name: str) -> bool:
    return name in ("score.weight", "score.2.weight", "classifier.weight")
