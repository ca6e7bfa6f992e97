"""What a conversion is asked for: a source, levels, a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.artifact import Role, ThoughtEmbedding, manifest_path
from convert.checkpoint import Checkpoint, read_checkpoint
from convert.files import PART, refuse_overwrite
from convert.formats import NAMES
from convert.gguf_artifact import artifact_from_gguf
from convert.heads import SUFFIX
from convert.identity import Identity, identify, identity_of
from convert.imatrix import read_imatrix
from convert.levels import UNQUANTIZED, Level
from convert.onnx_files import TOKENIZER_SUFFIX, cuda_path, model_files
from convert.onnx_levels import OnnxLevel
from convert.refusal import Refusal
from convert.sizes import Weights, weights_of_checkpoint, weights_of_gguf
from convert.sources import Source
from convert.stated import Stated


@dataclass(frozen=True, slots=True)
class Order:
    """What to build, and how."""

    source: Source
    levels: Sequence[Level | OnnxLevel]
    folder: Path
    role: Role | None = None
    imatrix: Path | None = None
    calibrate: Path | None = None  # a text to compute the importance matrix from
    force: bool = False
    thought_embedding: ThoughtEmbedding | None = None  # of a thinker; the trained one by default
    stated: Stated | None = None  # goes before what the checkpoint says of itself
    separator: str | None = None  # that a token classifier scores at

    @property
    def gguf_levels(self) -> list[Level]:
        return [level for level in self.levels if isinstance(level, Level)]

    @property
    def onnx_levels(self) -> list[OnnxLevel]:
        return [level for level in self.levels if isinstance(level, OnnxLevel)]

    def path(self, level: Level | OnnxLevel) -> Path:
        """Where a level's file goes: `policy-q4_k_m.gguf`."""
        return self.folder / f"{self.source.name}-{level.name}{level.suffix}"

    @property
    def lock(self) -> Path:
        """What two conversions to the same files contend for."""
        return self.folder / self.source.name

    @property
    def master(self) -> Path:
        """The unquantized export that is run over a text to calibrate; it is never kept."""
        return self.folder / f"{self.source.name}-master.gguf{PART}"

    @property
    def imatrix_path(self) -> Path:
        """Where a computed importance matrix is kept."""
        return self.folder / f"{self.source.name}.imatrix.gguf"

    def checkpoint(self) -> Checkpoint | None:
        """The source as a checkpoint; None where it is a GGUF."""
        return (
            None if self.source.is_gguf else read_checkpoint(self.source.path, self.source.adapter)
        )

    def identity(self, checkpoint: Checkpoint | None) -> Identity:
        """What the source is, which what is made of it will be too.

        Raises:
            Refusal: if the source is not what it is asked to be, or has no such choice.
        """
        asked = f"--thought-embedding {self.thought_embedding}: {self.source.origin}"
        if checkpoint is None:
            if self.thought_embedding:
                raise Refusal(f"{asked} is a GGUF, whose embeddings stay; give the checkpoint")
            return self._identity_of_file()
        found = identify(checkpoint, self.role, self.thought_embedding, self.stated, self.separator)
        if found.thought is None and self.thought_embedding:
            raise Refusal(f"{asked} is a {found.role} model; only thinkers have a choice")
        return found

    def _identity_of_file(self) -> Identity:
        """What a GGUF is, which it stays."""
        found = identity_of(artifact_from_gguf(self.source.path))
        if self.stated or self.separator or self.role not in (None, found.role):
            raise Refusal(
                f"{self.source.origin} is a GGUF and stays a {found.role} with its protocols; "
                "convert its checkpoint, or give --protocol to solve and profile run"
            )
        return found

    def weights(self, checkpoint: Checkpoint | None, role: Role) -> Weights:
        """How many weights the source has."""
        if checkpoint is None:
            return weights_of_gguf(self.source.path)
        return weights_of_checkpoint(checkpoint, role)


def check(order: Order) -> None:
    """All that can be known to fail before anything is written."""
    outputs = [order.path(level) for level in order.levels]
    if order.source.path.resolve() in [path.resolve() for path in outputs]:
        raise Refusal(f"{order.source.path} would overwrite itself; choose another --output")
    made = [] if order.calibrate is None else [order.imatrix_path]
    refuse_overwrite([*outputs, *made], force=order.force)
    for path in (order.imatrix, order.calibrate):
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"{path} does not exist")
    if order.onnx_levels and order.source.is_gguf:
        raise Refusal(f"{order.source.path.name} cannot become onnx; give its checkpoint")
    if order.imatrix is not None:
        read_imatrix(order.imatrix)  # a bad file fails here, not after an hour
    elif order.calibrate is None:
        needy = [level.name for level in order.gguf_levels if level.needs_imatrix]
        if needy:
            raise Refusal(
                f"{needy[0]} needs an importance matrix; give --imatrix FILE or --calibrate TEXT"
            )


def sweep(order: Order) -> None:
    """Remove what a conversion of this name left that was killed; nobody works on it now."""
    known = [order.path(level) for levels in NAMES.values() for level in levels.values()]
    models = [file for path in known for file in (*model_files(path), cuda_path(path))]
    suffixes = (SUFFIX, TOKENIZER_SUFFIX)
    beside = [order.folder / f"{order.source.name}{suffix}" for suffix in suffixes]
    others = [order.imatrix_path, *map(manifest_path, known), *beside]
    order.master.unlink(missing_ok=True)
    for path in (*models, *others):
        path.with_name(path.name + PART).unlink(missing_ok=True)


def requantizes(order: Order) -> str | None:
    """A warning where the source has lost precision already, or None."""
    if not order.source.is_gguf:
        return None
    source = artifact_from_gguf(order.source.path)
    if source.level in UNQUANTIZED:
        return None
    return (
        f"{source.path.name} is already quantized ({source.level}, {source.bits_per_weight:.2f} "
        "bits per weight); requantizing adds its loss to the new one"
    )
