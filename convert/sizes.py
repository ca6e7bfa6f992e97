"""How large the files of a conversion become, before they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.artifact import Role
from convert.checkpoint import Checkpoint
from convert.formats import AnyLevel
from convert.gguf_artifact import artifact_from_gguf
from convert.gguf_header import read_header
from convert.levels import LEVELS
from convert.mapping import BESIDE
from convert.onnx_levels import OnnxLevel

EMBEDDING_LEVEL = LEVELS["q8_0"]  # a thinker's embedding matrix is never kept at less


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of a source. `embedding` counts those that no level takes below q8_0."""

    model: int  # in the GGUF, the embedding matrix too
    embedding: int
    beside: int  # in the heads file, as float32
    tables: int = 0  # embedding matrix and output projection, at a level of their own in ONNX

    @property
    def total(self) -> int:
        return self.model + self.beside

    def bits(self, level: AnyLevel) -> float:
        """About how many bits a weight of the model takes."""
        if isinstance(level, OnnxLevel):
            return level.bits + self.tables / self.model * (level.head.bits - level.bits)
        share = self.embedding / self.model
        return level.bits + share * max(0.0, EMBEDDING_LEVEL.bits - level.bits)

    def size_bytes(self, level: AnyLevel) -> int:
        """About how large the model's files become."""
        return int(self.model * self.bits(level) / 8)

    def needed_bytes(self, levels: Sequence[AnyLevel], *, master: bool) -> int:
        """About what several levels take, the heads file and, with `master`, an f16 file too."""
        files = sum(self.size_bytes(level) for level in levels)
        return files + 2 * self.model * master + 4 * self.beside


def weights_of_checkpoint(checkpoint: Checkpoint, role: Role) -> Weights:
    """The weights of a checkpoint; nothing is read but headers."""
    unread = "lm_head.weight" if checkpoint.tied else ""  # Qwen3 has it stored all the same
    sizes = {n: tensor.elements for n, tensor in checkpoint.tensors.items() if n != unread}
    beside = sum(size for name, size in sizes.items() if name.startswith(BESIDE))
    embedding = sum(size for name, size in sizes.items() if name.endswith("embed_tokens.weight"))
    kept = embedding if role == "thinker" else 0
    tables = embedding + sizes.get("lm_head.weight", 0)
    return Weights(sum(sizes.values()) - beside, kept, beside, tables)


def weights_of_gguf(path: Path) -> Weights:
    """The weights of a GGUF and of the heads file it names."""
    sizes = {tensor.name: tensor.elements for tensor in read_header(path).tensors}
    artifact = artifact_from_gguf(path)
    kept = sizes.get("token_embd.weight", 0) if artifact.role == "thinker" else 0
    heads = artifact.heads_path
    beside = heads.stat().st_size // 4 if heads and heads.exists() else 0
    return Weights(sum(sizes.values()), kept, beside)
