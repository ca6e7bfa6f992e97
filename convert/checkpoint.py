"""A Hugging Face checkpoint folder: what it is, and its tensors one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from convert.artifact import (
    Artifact,
    PromptFormat,
    RewardProtocol,
    Role,
    Shape,
    ThoughtEmbedding,
    ThoughtProtocol,
)
from convert.refusal import Refusal
from convert.roles import detect_role, reward_protocol
from convert.tensors import Tensor, open_tensors
from convert.thoughts import check_protocol, check_tensors, thought_protocol

ARCHITECTURES = ("mistral", "llama", "qwen2")
TOKENIZERS = ("tokenizer.model", "tokenizer.json")
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
LEVEL_OF_DTYPE = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder that has been looked at, but not loaded."""

    folder: Path
    config: dict[str, Any]
    role_override: Role | None = None
    thought_embedding: ThoughtEmbedding | None = None

    @property
    def architecture(self) -> str:
        return str(self.config["model_type"])

    @property
    def tied(self) -> bool:
        return bool(self.config.get("tie_word_embeddings", False))

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """What `protocol.json` says beside the weights; it overrides detection."""
        path = self.folder / "protocol.json"
        if not path.exists():
            return {}
        with _readable(path):
            return dict(json.loads(path.read_text(encoding="utf-8")))

    @cached_property
    def role(self) -> Role:
        return self.role_override or self.protocol.get("role") or detect_role(self)

    @cached_property
    def prompt(self) -> PromptFormat | None:
        found = self.protocol.get("prompt")
        with _readable(self.folder / "protocol.json"):
            return PromptFormat(**found) if found else None

    @cached_property
    def reward(self) -> RewardProtocol | None:
        if self.role != "reward":
            return None
        found = self.protocol.get("reward")
        with _readable(self.folder / "protocol.json"):
            return RewardProtocol(**found) if found else reward_protocol(self)

    @cached_property
    def thought(self) -> ThoughtProtocol | None:
        """How a thinker thinks; its tensors have been checked then."""
        if self.role != "thinker":
            return None
        check_tensors(self)
        found = self.protocol.get("thought")
        with _readable(self.folder / "protocol.json" if found else self.folder):
            protocol = ThoughtProtocol(**found) if found else thought_protocol(self)
            if self.thought_embedding:
                protocol = replace(protocol, embedding=self.thought_embedding)
            check_protocol(self.folder, self.shape.vocab, protocol)
        return protocol

    @cached_property
    def shape(self) -> Shape:
        config = self.config
        heads = int(config["num_attention_heads"])
        return Shape(
            layers=int(config["num_hidden_layers"]),
            hidden=int(config["hidden_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            feed_forward=int(config["intermediate_size"]),
            vocab=int(config["vocab_size"]),
            context=int(config["max_position_embeddings"]),
        )

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Name, shape and dtype of every tensor; nothing is read but headers."""
        return open_tensors(self.folder)

    @property
    def dtype(self) -> str:
        """The dtype of the weights: of the largest tensor."""
        return max(self.tensors.values(), key=lambda t: t.elements).dtype

    @property
    def size_bytes(self) -> int:
        return sum(t.elements * BYTES.get(t.dtype, 2) for t in self.tensors.values())


def read_checkpoint(
    folder: Path, role: Role | None = None, thought_embedding: ThoughtEmbedding | None = None
) -> Checkpoint:
    """Look at a checkpoint folder.

    Raises:
        FileNotFoundError: if config, tokenizer or weights are missing; names them.
        Refusal: if the architecture is not one of `ARCHITECTURES`, or a file cannot be read.
    """
    path = folder / "config.json"
    if not path.exists():
        raise FileNotFoundError(f"{folder} has no config.json: not a checkpoint folder")
    with _readable(path):
        config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("model_type") not in ARCHITECTURES:
        raise Refusal(
            f"{path} has model_type {config.get('model_type')!r}; choose a model of "
            f"{', '.join(ARCHITECTURES)}"
        )
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise FileNotFoundError(f"{folder} has no tokenizer: expected {' or '.join(TOKENIZERS)}")
    checkpoint = Checkpoint(folder, config, role, thought_embedding)
    with _readable(path):
        _ = checkpoint.shape
    return checkpoint


def describe(
    path: Path, role: Role | None = None, thought_embedding: ThoughtEmbedding | None = None
) -> Artifact:
    """A checkpoint folder as an artifact that torch opens as it is."""
    checkpoint = read_checkpoint(path, role, thought_embedding)
    dtype = checkpoint.dtype
    return Artifact(
        path=path,
        format="torch",
        level=LEVEL_OF_DTYPE.get(dtype, dtype),
        role=checkpoint.role,
        architecture=checkpoint.architecture,
        shape=checkpoint.shape,
        size_bytes=checkpoint.size_bytes,
        bits_per_weight=8.0 * BYTES.get(dtype, 2),
        source=path.name,
        prompt=checkpoint.prompt,
        reward=checkpoint.reward,
        thought=checkpoint.thought,
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} cannot be read: {type(error).__name__}: {error}") from error
