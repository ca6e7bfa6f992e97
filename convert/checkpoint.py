"""A Hugging Face checkpoint folder: what it is, and its tensors one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convert.architectures import ARCHITECTURES
from convert.artifact import Shape
from convert.bounds import shown
from convert.config_check import check_config
from convert.files import read_json, regular
from convert.hub import WANTED
from convert.refusal import Refusal
from convert.tensors import Tensor, open_tensors
from convert.tokenizer_files import check_tokenizer

TOKENIZERS = ("tokenizer.model", "tokenizer.json")
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder that has been looked at, but not loaded."""

    folder: Path
    config: dict[str, Any]

    @property
    def architecture(self) -> str:
        return str(self.config["model_type"])

    @property
    def tied(self) -> bool:
        return bool(self.config.get("tie_word_embeddings", False))

    @property
    def has_logits(self) -> bool:
        """Whether there is an output projection."""
        return self.tied or "lm_head.weight" in self.tensors

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


def read_checkpoint(folder: Path) -> Checkpoint:
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
        raise FileNotFoundError(
            f"{folder} has no tokenizer: expected {' or '.join(TOKENIZERS)}; convert --tokenizer "
            "SOURCE takes that of another one"
        )
    for found in (file for pattern in WANTED for file in folder.glob(pattern)):
        regular(found)  # a foreign reader waits for a pipe without end
    checkpoint = Checkpoint(folder, config)
    _ = checkpoint.shape
    check_tokenizer(folder)
    return checkpoint
