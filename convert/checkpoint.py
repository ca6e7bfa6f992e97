"""A Hugging Face checkpoint folder: what it is, and its tensors one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from convert.adapter import CONFIG, merged
from convert.architectures import ARCHITECTURES
from convert.artifact import Shape
from convert.bounds import shown
from convert.config_check import check_config
from convert.files import read_json, regular
from convert.float8 import widened
from convert.hub import WANTED, repository_of
from convert.prequantized import check_floats, check_method
from convert.refusal import Refusal, one_of
from convert.tensors import Tensor, open_tensors
from convert.tokenizer_files import check_tokenizer
from convert.wrapped import decoder_config, decoder_tensors, fitted

TOKENIZERS = ("tokenizer.model", "tokenizer.json")
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder that has been looked at, but not loaded."""

    folder: Path
    config: dict[str, Any]
    adapter: Path | None = None  # a LoRA adapter that is merged into it

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
        """Name, shape and dtype of every tensor of the decoder; nothing is read but headers."""
        saved = decoder_tensors(open_tensors(self.folder), self.config)
        check_floats(self.folder, self.config, saved)
        found = widened(saved, self.config)
        return found if self.adapter is None else merged(found, self.adapter)

    @property
    def as_saved(self) -> bool:
        """Whether transformers finds the decoder in the folder as it is here."""
        parts = ("text_config", "quantization_config")
        renamed = any(tensor.name != name for name, tensor in self.tensors.items())
        return not renamed and self.adapter is None and all(p not in self.config for p in parts)

    @property
    def dtype(self) -> str:
        """The dtype of the weights: of the largest tensor."""
        return max(self.tensors.values(), key=lambda t: t.elements).dtype

    @property
    def size_bytes(self) -> int:
        return sum(t.elements * BYTES.get(t.dtype, 2) for t in self.tensors.values())


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of the decoder in a folder, if its weights can be read, by what it says.

    Raises:
        FileNotFoundError: if there is none.
        Refusal: if the architecture is not one of `ARCHITECTURES`, or the weights are packed.
    """
    path, known = folder / "config.json", repository_of(folder)
    name = known[0] if known else folder
    if (folder / CONFIG).exists() and not path.exists():
        base = read_json(folder / CONFIG).get("base_model_name_or_path") or "its base model"
        raise Refusal(f"{name} is a LoRA adapter; convert {base} --adapter {name}")
    if not path.exists():
        remedy = "; of a repository of .gguf files, download one and give its path" if known else ""
        raise FileNotFoundError(f"{name} has no config.json: not a checkpoint folder{remedy}")
    config = decoder_config(read_json(path))
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise Refusal(
            f"{path} has model_type {shown(model_type)}; choose a model of "
            f"{', '.join(ARCHITECTURES)}"
        )
    check_method(folder, config)
    return config


def read_checkpoint(folder: Path, adapter: Path | None = None) -> Checkpoint:
    """Look at a checkpoint folder, and at an adapter to merge into it.

    Raises:
        FileNotFoundError: if config, tokenizer or weights are missing; names them.
        Refusal: if the architecture is not one of `ARCHITECTURES`, or a file cannot be read.
    """
    path, config = folder / "config.json", read_config(folder)
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise FileNotFoundError(
            f"{folder} has no tokenizer: expected {one_of(TOKENIZERS)}; convert --tokenizer "
            "SOURCE takes that of another one"
        )
    for found in (file for pattern in WANTED for file in folder.glob(pattern)):
        regular(found)  # a foreign reader waits for a pipe without end
    checkpoint = Checkpoint(folder, config, adapter)
    checkpoint = replace(checkpoint, config=fitted(path, config, checkpoint.tensors))
    _ = checkpoint.shape
    check_tokenizer(folder)
    return checkpoint
