"""One checkpoint at several ONNX levels: weights, graphs, tokenizer, heads and manifest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from convert.artifact import Artifact
from convert.checkpoint import Checkpoint
from convert.files import sha256, whole
from convert.onnx_files import TOKENIZER_SUFFIX, cuda_path, data_path, model_files
from convert.onnx_graph import Activations
from convert.onnx_levels import OnnxLevel
from convert.onnx_tensors import weight_count
from convert.progress import Progress
from convert.to_onnx import tokenizer_facts, write_data, write_graph

if TYPE_CHECKING:
    from convert.build import Order

TOOLS = ("onnx", "starbase-edge")


def build_onnx(
    order: Order, checkpoint: Checkpoint, heads: Path | None, progress: Progress
) -> list[Artifact]:
    """Write the ONNX levels of an order; files appear whole or not at all."""
    tokenizer = order.folder / f"{order.source.name}{TOKENIZER_SUFFIX}"
    with whole(tokenizer) as part:
        facts = tokenizer_facts(checkpoint, part)
    made = []
    for level in order.onnx_levels:
        path = order.path(level)
        _write(checkpoint, path, level, facts, progress)
        made.append(_describe(order, checkpoint, level, [tokenizer, *([heads] if heads else [])]))
    return made


def _write(
    checkpoint: Checkpoint, path: Path, level: OnnxLevel, facts: dict[str, str], progress: Progress
) -> None:
    """The weights of a level, and the graphs over them."""
    graphs: dict[Path, Activations] = {path: "float32"}
    if level.weight_bits < 32:
        graphs[cuda_path(path)] = "float16"
    with ExitStack() as stack:  # left in reverse: the weights are there before their graphs
        parts = {stack.enter_context(whole(out)): floats for out, floats in graphs.items()}
        data = stack.enter_context(whole(data_path(path)))
        with progress.bar(level.name, 7 * checkpoint.shape.layers + 3) as bar:
            weights = write_data(checkpoint, data, level, bar.step)
        name = data_path(path).name
        for part, floats in parts.items():
            write_graph(checkpoint, part, level, weights, data=name, floats=floats, facts=facts)


def _describe(
    order: Order, checkpoint: Checkpoint, level: OnnxLevel, others: Sequence[Path]
) -> Artifact:
    """Describe a written level in its manifest."""
    path = order.path(level)
    model = model_files(path)
    files = [*model, *filter(Path.exists, [cuda_path(path)]), *others]
    size_bytes = sum(file.stat().st_size for file in model)
    artifact = Artifact(
        path=path,
        format="onnx",
        level=level.name,
        role=checkpoint.role,
        architecture=checkpoint.architecture,
        shape=checkpoint.shape,
        size_bytes=size_bytes,
        bits_per_weight=8 * data_path(path).stat().st_size / weight_count(checkpoint),
        source=order.source.origin,
        revision=order.source.revision,
        prompt=checkpoint.prompt,
        reward=checkpoint.reward,
        thought=checkpoint.thought,
        heads=next((f.name for f in others if f.name.endswith(".heads.safetensors")), None),
        tokenizer=next(f.name for f in others if f.name.endswith(TOKENIZER_SUFFIX)),
        sha256={file.name: sha256(file) for file in files},
        tools={tool: version(tool) for tool in TOOLS},
    )
    artifact.write()
    return artifact
