"""A Hugging Face checkpoint folder: what it is, and its tensors one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from convert.artifact import (
    Artifact,
    PromptFormat,
    RewardProtocol,
    Role,
    Shape,
    ThoughtEmbedding,
    ThoughtProtocol,
)
from convert.bounds import shown
from convert.config_check import check_config
from convert.files import read_json, regular
from convert.protocols import check_numbers, check_outputs, judged, role_of
from convert.refusal import Refusal
from convert.roles import detect_role, outputs, reward_protocol
from convert.sources import WANTED
from convert.tensors import Tensor, open_tensors
from convert.thoughts import check_protocol, check_tensors, thought_protocol
from convert.tokenizer_files import check_tokenizer

ARCHITECTURES = ("mistral", "llama", "qwen2")
TOKENIZERS = ("tokenizer.model", "tokenizer.json")
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
PROTOCOLS = ("role", "prompt", "reward", "thought")  # of protocol.json
T = TypeVar("T")
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
        found = read_json(self._protocol_path)
        for key in found:
            if key not in PROTOCOLS:
                raise Refusal(f"{self._protocol_path} holds {key}; choose {', '.join(PROTOCOLS)}")
        return {key: value for key, value in found.items() if value is not None}

    @property
    def _protocol_path(self) -> Path:
        return self.folder / "protocol.json"

    @cached_property
    def role(self) -> Role:
        if self.role_override:
            return self.role_override
        if "role" in self.protocol:
            return role_of(self._protocol_path, "role", self.protocol["role"])
        return detect_role(self)

    @cached_property
    def prompt(self) -> PromptFormat | None:
        return self._stated("prompt", PromptFormat)

    def _stated(self, key: str, kind: type[T]) -> T | None:
        """What `protocol.json` says under a key; None where it says nothing."""
        if key not in self.protocol:
            return None
        return judged(kind, self._protocol_path, key, self.protocol[key])

    @cached_property
    def reward(self) -> RewardProtocol | None:
        if self.role != "reward":
            return None
        found = self._stated("reward", RewardProtocol) or reward_protocol(self)
        check_numbers(self._protocol_path, found, None, self.shape.vocab)
        if (count := outputs(self)) is not None:
            check_outputs(self._protocol_path, found, count)
        return found

    @cached_property
    def thought(self) -> ThoughtProtocol | None:
        """How a thinker thinks; its tensors have been checked then."""
        if self.role != "thinker":
            return None
        check_tensors(self)
        protocol = self._stated("thought", ThoughtProtocol) or thought_protocol(self)
        if self.thought_embedding:
            protocol = replace(protocol, embedding=self.thought_embedding)
        check_protocol(self.folder, self.shape.vocab, protocol)
        check_numbers(self._protocol_path, None, protocol, self.shape.vocab)
        return protocol

    @cached_property
    def shape(self) -> Shape:
        return check_config(self.folder / "config.json", self.config)

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
    config = read_json(path)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise Refusal(
            f"{path} has model_type {shown(model_type)}; choose a model of "
            f"{', '.join(ARCHITECTURES)}"
        )
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise FileNotFoundError(f"{folder} has no tokenizer: expected {' or '.join(TOKENIZERS)}")
    for found in (file for pattern in WANTED for file in folder.glob(pattern)):
        regular(found)  # a foreign reader waits for a pipe without end
    checkpoint = Checkpoint(folder, config, role, thought_embedding)
    _ = checkpoint.shape
    check_tokenizer(folder)
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
