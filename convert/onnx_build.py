"""One checkpoint at several ONNX levels: weights, graphs, tokenizer, heads and manifest."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from convert.artifact import Artifact, manifest_path
from convert.beside import Beside, made
from convert.checkpoint import Checkpoint
from convert.files import whole
from convert.identity import Identity
from convert.onnx_files import TOKENIZER_SUFFIX, cuda_path, data_path, model_files
from convert.onnx_graph import Activations
from convert.onnx_levels import OnnxLevel
from convert.onnx_tensors import step_count, weight_count
from convert.order import Order
from convert.progress import Progress
from convert.to_onnx import tokenizer_facts, write_data, write_graph
from convert.verify import files_of, known_sha256

TOOLS = ("onnx", "starbase-edge")


def build_onnx(
    order: Order,
    checkpoint: Checkpoint,
    identity: Identity,
    heads: Beside | None,
    progress: Progress,
) -> list[Artifact]:
    """Write the ONNX levels of an order; files appear whole or not at all."""
    facts: dict[str, str] = {}

    def write(part: Path) -> None:
        facts.update(tokenizer_facts(checkpoint, part))

    found = []
    with made(order.folder, order.source.name, TOKENIZER_SUFFIX, write) as tokenizer:
        for level in order.onnx_levels:
            beside = Files(tokenizer, heads)
            _write(checkpoint, identity, order.path(level), level, facts, beside, progress)
            found.append(_describe(order, checkpoint, identity, level, beside))
    return found


@dataclass(frozen=True, slots=True)
class Files:
    """What stands beside an ONNX model."""

    tokenizer: Beside
    heads: Beside | None

    def place(self) -> None:
        for file in filter(None, (self.tokenizer, self.heads)):
            file.place()


def _write(
    checkpoint: Checkpoint,
    identity: Identity,
    path: Path,
    level: OnnxLevel,
    facts: dict[str, str],
    beside: Files,
    progress: Progress,
) -> None:
    """The weights of a level, and the graphs over them.

    No manifest vouches for the files while they are exchanged: half an exchange is refused.
    """
    graphs: dict[Path, Activations] = {path: "float32"}
    if level.weight_bits < 32:
        graphs[cuda_path(path)] = "float16"
    with ExitStack() as stack:  # left in reverse: the weights are there before their graphs
        parts = {stack.enter_context(whole(out)): floats for out, floats in graphs.items()}
        data = stack.enter_context(whole(data_path(path)))
        with progress.bar(level.name, step_count(checkpoint)) as bar:
            weights = write_data(checkpoint, identity.thought, data, level, bar.step)
        name = data_path(path).name
        for part, floats in parts.items():
            write_graph(checkpoint, part, level, weights, data=name, floats=floats, facts=facts)
        beside.place()
        manifest_path(path).unlink(missing_ok=True)


def _describe(
    order: Order, checkpoint: Checkpoint, identity: Identity, level: OnnxLevel, beside: Files
) -> Artifact:
    """Describe a written level in its manifest."""
    path = order.path(level)
    size_bytes = sum(file.stat().st_size for file in model_files(path))
    cuda = [cuda_path(path)] if level.weight_bits < 32 else []
    artifact = Artifact(
        path=path,
        format="onnx",
        level=level.name,
        role=identity.role,
        architecture=checkpoint.architecture,
        shape=checkpoint.shape,
        size_bytes=size_bytes,
        bits_per_weight=8 * data_path(path).stat().st_size / weight_count(checkpoint),
        source=order.source.origin,
        revision=order.source.revision,
        prompt=identity.prompt,
        reward=identity.reward,
        thought=identity.thought,
        heads=beside.heads.path.name if beside.heads else None,
        tokenizer=beside.tokenizer.path.name,
        tools={tool: version(tool) for tool in TOOLS},
    )
    files = [*files_of(artifact), *cuda]
    artifact = replace(artifact, sha256={file.name: known_sha256(file) for file in files})
    artifact.write()
    return artifact
