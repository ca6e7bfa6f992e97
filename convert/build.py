"""One source, several levels: a checkpoint is read once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from convert.artifact import Artifact, Role, manifest_path
from convert.beside import Beside, copied, made
from convert.checkpoint import Checkpoint
from convert.files import alone, need_space, whole, writing
from convert.gguf_artifact import artifact_from_gguf
from convert.gguf_header import read_header
from convert.heads import SUFFIX, head_tensors, make_head, write_heads
from convert.identity import Identity
from convert.levels import LEVELS, Level
from convert.order import Order, check, sweep
from convert.progress import Progress
from convert.quantize import quantize
from convert.refusal import Refusal
from convert.sizes import EMBEDDING_LEVEL
from convert.stream import ExceedsFloat16
from convert.to_gguf import About, write_ggufs
from convert.verify import files_of, known_sha256

TOOLS = ("gguf", "llama-cpp-python", "starbase-edge")


@dataclass(frozen=True, slots=True)
class _Job:
    """An order under way."""

    order: Order
    checkpoint: Checkpoint | None
    identity: Identity
    heads: Beside | None
    progress: Progress

    @property
    def beside(self) -> list[Beside]:
        return [self.heads] if self.heads else []


def build(order: Order, progress: Progress | None = None) -> list[Artifact]:
    """Write every level of an order, in its order; files appear whole or not at all.

    Raises:
        FileExistsError: if an output exists and `force` is off.
        OSError: if the disk is too small or cannot be written.
        Refusal: for a source that cannot be converted, or a level that needs an importance
            matrix and has none; says which.
    """
    check(order)
    checkpoint = order.checkpoint()
    identity = order.identity(checkpoint)
    order.folder.mkdir(parents=True, exist_ok=True)
    master = checkpoint is not None and order.calibrate is not None
    weights = order.weights(checkpoint, identity.role)
    need_space(order.folder, weights.needed_bytes(order.levels, master=master))
    with alone(order.lock):
        check(order)  # another conversion may have been faster
        sweep(order)
        with _heads(order, checkpoint, identity.role) as heads:
            return _build(_Job(order, checkpoint, identity, heads, progress or Progress()))


def _build(job: _Job) -> list[Artifact]:
    order = job.order
    built = {artifact.level: artifact for artifact in _onnx(job)}
    if order.gguf_levels:
        imatrix = _imatrix(job)
        if job.checkpoint is None:
            made = [_requantize(job, level, imatrix) for level in order.gguf_levels]
        else:
            made = _convert(job, job.checkpoint, imatrix)
        built |= {artifact.level: artifact for artifact in made}
    return [built[level.name] for level in order.levels]


@contextmanager
def _heads(order: Order, checkpoint: Checkpoint | None, role: Role) -> Iterator[Beside | None]:
    """The heads, which have no place in a model file, until a model that needs them is whole."""
    if checkpoint is None:
        source = artifact_from_gguf(order.source.path).heads_path
        if source is None or source.parent.resolve() == order.folder.resolve():
            yield None
            return
        with copied(source, order.folder) as heads:
            yield heads
        return
    tensors = head_tensors(checkpoint, role)
    if not tensors:
        yield None
        return
    make_head(tensors, checkpoint.shape.hidden, role)  # fits, or says what does not
    with made(
        order.folder, order.source.name, SUFFIX, lambda path: write_heads(path, tensors)
    ) as heads:
        yield heads


@contextmanager
def model_file(out: Path, beside: Sequence[Beside]) -> Iterator[Path]:
    """Where to write a model file. Once it is whole it goes into place after what it refers to.

    The old manifest goes first: at no moment does one vouch for half an exchange.
    """
    with whole(out) as part:
        yield part
        for file in beside:
            file.place()
        manifest_path(out).unlink(missing_ok=True)


def _imatrix(job: _Job) -> Path | None:
    """The importance matrix: given, computed from a text, or none."""
    if job.order.calibrate is None:
        return job.order.imatrix
    from convert.calibrate import calibrate

    path = job.order.imatrix_path
    with _runnable(job) as model, job.progress.bar("calibrate", 0) as bar:
        calibrate(model, job.order.calibrate, path, bar.to)
    return path


@contextmanager
def _runnable(job: _Job) -> Iterator[Path]:
    """The model to calibrate with: the source itself, or an export for the while."""
    if job.checkpoint is None:
        yield job.order.source.path
        return
    with writing(job.order.master) as path:
        try:
            _write(job, job.checkpoint, {path: LEVELS["f16"]}, None)
        except ExceedsFloat16:
            _write(job, job.checkpoint, {path: LEVELS["bf16"]}, None)
        yield path


def _onnx(job: _Job) -> list[Artifact]:
    """The levels of an order that are ONNX, if any."""
    if not job.order.onnx_levels or job.checkpoint is None:
        return []
    try:
        from convert.onnx_build import build_onnx
    except ModuleNotFoundError as error:
        raise Refusal("onnx is not installed; pip install 'starbase-edge[onnx]'") from error
    return build_onnx(job.order, job.checkpoint, job.identity, job.heads, job.progress)


def _convert(job: _Job, checkpoint: Checkpoint, imatrix: Path | None) -> list[Artifact]:
    """All GGUF levels of a checkpoint, from one reading."""
    outs = {level: job.order.path(level) for level in job.order.gguf_levels}
    with ExitStack() as stack:
        parts = {stack.enter_context(model_file(outs[it], job.beside)): it for it in outs}
        _write(job, checkpoint, parts, imatrix)
    return [_finish(out, level) for level, out in outs.items()]


def _write(
    job: _Job, checkpoint: Checkpoint, files: Mapping[Path, Level], imatrix: Path | None
) -> None:
    source = job.order.source
    heads = job.heads.path.name if job.heads else None
    about = About(job.identity, source.origin, source.revision, heads)
    title = " ".join(level.name for level in files.values())
    with job.progress.bar(title, len(checkpoint.tensors)) as bar:
        write_ggufs(checkpoint, files, about, imatrix=imatrix, progress=bar.step)


def _requantize(job: _Job, level: Level, imatrix: Path | None) -> Artifact:
    """A level of a GGUF."""
    out, source = job.order.path(level), job.order.source.path
    header = read_header(source)
    thinks = header.values.get("starbase.role") == "thinker"
    total = len(header.tensors)
    with model_file(out, job.beside) as part, job.progress.bar(level.name, total) as bar:
        quantize(
            source,
            part,
            level.ftype,
            imatrix=imatrix,
            requantize=True,
            keep_embedding=thinks and level.bits < EMBEDDING_LEVEL.bits,
            progress=bar.step,
        )
    return _finish(out, level)


def _finish(out: Path, level: Level) -> Artifact:
    """Describe a written file in its manifest."""
    found = artifact_from_gguf(out)
    artifact = replace(
        found,
        level=level.name,
        sha256={path.name: known_sha256(path) for path in files_of(found)},
        tools={tool: version(tool) for tool in TOOLS},
    )
    artifact.write()
    return artifact
