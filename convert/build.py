"""One source, several levels: an unquantized master is written once, every level comes from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from convert.artifact import Artifact, Role, ThoughtEmbedding
from convert.checkpoint import Checkpoint, read_checkpoint
from convert.files import need_space, refuse_overwrite, sha256, whole
from convert.gguf_artifact import artifact_from_gguf
from convert.gguf_header import read_header
from convert.heads import SUFFIX, head_tensors, make_head, write_heads
from convert.imatrix import read_imatrix
from convert.levels import UNQUANTIZED, Level
from convert.onnx_levels import OnnxLevel
from convert.progress import Progress
from convert.quantize import quantize
from convert.refusal import Refusal
from convert.sizes import EMBEDDING_LEVEL, Weights, weights_of_checkpoint, weights_of_gguf
from convert.sources import Source
from convert.to_gguf import ExceedsFloat16, write_gguf

TOOLS = ("gguf", "llama-cpp-python", "starbase-edge")


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
    def imatrix_path(self) -> Path:
        """Where a computed importance matrix is kept."""
        return self.folder / f"{self.source.name}.imatrix.gguf"

    def checkpoint(self) -> Checkpoint | None:
        """The source as a checkpoint, a thinker's tensors checked; None where it is a GGUF.

        Raises:
            Refusal: if a thought embedding is asked for and the source can give none.
        """
        asked = f"--thought-embedding {self.thought_embedding}: {self.source.origin}"
        if self.source.is_gguf:
            if self.thought_embedding:
                raise Refusal(f"{asked} is a GGUF, whose embeddings stay; give the checkpoint")
            return None
        found = read_checkpoint(self.source.path, self.role, self.thought_embedding)
        if found.thought is None and self.thought_embedding:
            raise Refusal(f"{asked} is a {found.role} model; only thinkers have a choice")
        return found

    def weights(self, checkpoint: Checkpoint | None) -> Weights:
        """How many weights the source has."""
        if checkpoint is None:
            return weights_of_gguf(self.source.path)
        return weights_of_checkpoint(checkpoint)


@dataclass(frozen=True, slots=True)
class _Job:
    """An order under way."""

    order: Order
    checkpoint: Checkpoint | None
    heads: Path | None
    progress: Progress


def build(order: Order, progress: Progress | None = None) -> list[Artifact]:
    """Write every level of an order, in its order; files appear whole or not at all.

    Raises:
        FileExistsError: if an output exists and `force` is off.
        OSError: if the disk is too small or cannot be written.
        Refusal: for a source that cannot be converted, or a level that needs an importance
            matrix and has none; says which.
    """
    _check(order)
    checkpoint = order.checkpoint()
    order.folder.mkdir(parents=True, exist_ok=True)
    need_space(order.folder, order.weights(checkpoint).needed_bytes(order.levels))
    job = _Job(order, checkpoint, _write_heads(order, checkpoint), progress or Progress())
    exact = [level for level in order.gguf_levels if checkpoint and level.name in UNQUANTIZED]
    built = {level.name: _export(job, level) for level in exact}
    built |= {artifact.level: artifact for artifact in _onnx(job)}
    rest = [level for level in order.gguf_levels if level.name not in built]
    if rest:
        with _master(job, built.get("f16")) as master:
            imatrix = _imatrix(job, master)
            built |= {level.name: _quantize(job, level, master, imatrix) for level in rest}
    return [built[level.name] for level in order.levels]


def _check(order: Order) -> None:
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


def _write_heads(order: Order, checkpoint: Checkpoint | None) -> Path | None:
    """Heads go beside the model: they have no place in it."""
    if checkpoint is None:
        return _copy_heads(order)
    tensors = head_tensors(checkpoint)
    if not tensors:
        return None
    make_head(tensors, checkpoint.shape.hidden, checkpoint.role)  # fits, or says what does not
    path = order.folder / f"{order.source.name}{SUFFIX}"
    with whole(path) as part:
        write_heads(part, tensors)
    return path


def _copy_heads(order: Order) -> Path | None:
    """The heads file that a GGUF names goes where its new levels go."""
    source = artifact_from_gguf(order.source.path).heads_path
    if source is None:
        return None
    if not source.exists():
        raise FileNotFoundError(f"{source} is missing; it belongs beside {order.source.path.name}")
    path = order.folder / source.name
    if path.resolve() != source.resolve():
        with whole(path) as part:
            shutil.copyfile(source, part)
    return path


@contextmanager
def _master(job: _Job, f16: Artifact | None) -> Iterator[Path]:
    """The GGUF to quantize from: the source itself, the f16 level, or an export for the while."""
    if job.checkpoint is None:
        yield job.order.source.path
        return
    if f16 is not None:
        yield f16.path
        return
    path = job.order.folder / f"{job.order.source.name}-master.gguf.part"
    try:
        try:
            _write(job, path, "f16")
        except ExceedsFloat16:
            _write(job, path, "bf16")
        yield path
    finally:
        path.unlink(missing_ok=True)


def _imatrix(job: _Job, master: Path) -> Path | None:
    """The importance matrix: given, computed from a text, or none."""
    if job.order.calibrate is None:
        return job.order.imatrix
    from convert.calibrate import calibrate

    path = job.order.imatrix_path
    with job.progress.bar("calibrate", 0) as bar:
        calibrate(master, job.order.calibrate, path, bar.to)
    return path


def _onnx(job: _Job) -> list[Artifact]:
    """The levels of an order that are ONNX, if any."""
    if not job.order.onnx_levels or job.checkpoint is None:
        return []
    try:
        from convert.onnx_build import build_onnx
    except ModuleNotFoundError as error:
        raise Refusal("onnx is not installed; pip install 'starbase-edge[onnx]'") from error
    return build_onnx(job.order, job.checkpoint, job.heads, job.progress)


def _export(job: _Job, level: Level) -> Artifact:
    out = job.order.path(level)
    with whole(out) as part:
        _write(job, part, level.name)
    return _finish(job, out, level)


def _quantize(job: _Job, level: Level, master: Path, imatrix: Path | None) -> Artifact:
    out = job.order.path(level)
    header = read_header(master)
    thinks = header.values.get("starbase.role") == "thinker"
    total = len(header.tensors)
    with whole(out) as part, job.progress.bar(level.name, total) as bar:
        quantize(
            master,
            part,
            level.ftype,
            imatrix=imatrix,
            requantize=job.checkpoint is None,
            keep_embedding=thinks and level.bits < EMBEDDING_LEVEL.bits,
            progress=bar.step,
        )
    return _finish(job, out, level)


def _write(job: _Job, out: Path, level: str) -> None:
    assert job.checkpoint is not None
    with job.progress.bar(f"export {level}", len(job.checkpoint.tensors)) as bar:
        write_gguf(
            job.checkpoint,
            out,
            level,
            origin=job.order.source.origin,
            revision=job.order.source.revision,
            heads=job.heads.name if job.heads else None,
            progress=bar.step,
        )


def _finish(job: _Job, out: Path, level: Level) -> Artifact:
    """Describe a written file in its manifest."""
    files = [out, *([job.heads] if job.heads else [])]
    artifact = replace(
        artifact_from_gguf(out),
        level=level.name,
        sha256={path.name: sha256(path) for path in files},
        tools={tool: version(tool) for tool in TOOLS},
    )
    artifact.write()
    return artifact


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
