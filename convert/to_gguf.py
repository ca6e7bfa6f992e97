"""A checkpoint as GGUF files at several levels, in one pass over its tensors.

Quantized levels are byte for byte what llama-quantize writes from the f16 file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from convert.architectures import ARCHITECTURES
from convert.artifact import Shape, ThoughtProtocol
from convert.checkpoint import Checkpoint
from convert.gguf_tokenizer import add_tokenizer
from convert.identity import Identity
from convert.imatrix import ImportanceMatrix, cut, read_imatrix
from convert.levels import LEVELS, UNQUANTIZED, Level
from convert.mapping import Mapped, tensor_map
from convert.own_keys import own_keys
from convert.placing import Place, file_bytes, places
from convert.refusal import Refusal
from convert.rope import add_rope, rope_factors
from convert.sizes import EMBEDDING_LEVEL
from convert.stream import ExceedsFloat16, LevelFile, TensorSource, stream
from convert.tensor import Tensor
from convert.thoughts import TOKENS, thought_rows

ROPE_FACTORS = "rope_freqs.weight"
FILE_TYPE, QUANTIZATION_VERSION = gguf.Keys.General.FILE_TYPE, "general.quantization_version"
Metadata = dict[str, gguf.GGUFValue]


@dataclass(frozen=True, slots=True)
class About:
    """What a file says of what it is, and of where it comes from."""

    identity: Identity
    origin: str
    revision: str | None = None
    heads: str | None = None  # the file beside it

    def facts(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """What its keys say, by the fields of an `Artifact`."""
        found = self.identity
        return {
            "role": found.role,
            "architecture": checkpoint.architecture,
            "source": self.origin,
            "revision": self.revision,
            "heads": self.heads,
            "prompt": found.prompt,
            "reward": found.reward,
            "thought": found.thought,
        }


def write_ggufs(
    checkpoint: Checkpoint,
    files: Mapping[Path, Level],
    about: About,
    *,
    imatrix: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Write files at their levels; `progress` is told each tensor. Norms and vectors stay float32.

    Raises:
        Refusal: for missing, misshapen or non-finite tensors, a tokenizer or rope setting that
            llama.cpp lacks, values that a level cannot hold, or an importance matrix that does
            not fit.
    """
    sources = _sources(checkpoint, about.identity.thought)
    tensors = [source.mapped for source in sources]
    matrix = None if imatrix is None else read_imatrix(imatrix)
    metadata = _metadata(checkpoint, about)
    with ExitStack() as stack:
        outputs = []
        for path, level in files.items():
            keep = about.identity.role == "thinker" and level.bits < EMBEDDING_LEVEL.bits
            found = places(tensors, level, checkpoint.shape, matrix, keep_embedding=keep)
            _write_front(path, _at_level(metadata, level, matrix, imatrix), found)
            start = path.stat().st_size
            file = stack.enter_context(path.open("r+b"))
            file.truncate(start + file_bytes(found))
            outputs.append(LevelFile(file, start, {place.name: place for place in found}))
        try:
            stream(sources, outputs, progress=progress)
        except ExceedsFloat16:
            if LEVELS["f16"] in files.values():
                raise
            stream(sources, outputs, master="bf16", progress=progress)


def _sources(checkpoint: Checkpoint, thought: ThoughtProtocol | None) -> list[TensorSource]:
    """All tensors of the file, in the order in which they are read."""
    own = own_rows(checkpoint, thought)
    found = [
        TensorSource(m, checkpoint.tensors[m.source], own if m.name == "token_embd.weight" else {})
        for m in _placed(checkpoint)
    ]
    factors = rope_factors(checkpoint)
    if factors is not None:
        mapped = Mapped(ROPE_FACTORS, ROPE_FACTORS, factors.shape, full=True)
        tensor = Tensor(ROPE_FACTORS, factors.shape, "float32", lambda: factors)
        found.append(TensorSource(mapped, tensor))
    return found


def _placed(checkpoint: Checkpoint) -> list[Mapped]:
    """The tensors of a checkpoint, all of which llama.cpp has a place for."""
    mapped, name = tensor_map(checkpoint), ARCHITECTURES[checkpoint.architecture].gguf
    for m in mapped:
        if name.startswith("qwen") and m.name.endswith("attn_output.bias"):
            raise Refusal(
                f"{checkpoint.folder} holds tensor {m.source}, for which a {name} model in "
                "llama.cpp has no place; choose --format onnx"
            )
    return mapped


def _metadata(checkpoint: Checkpoint, about: About) -> Metadata:
    """Keys and values of a level not yet said, in the order of llama.cpp's converter."""
    writer = gguf.GGUFWriter(None, ARCHITECTURES[checkpoint.architecture].gguf)
    _add_sizes(writer, checkpoint, about.origin)
    writer.add_file_type(LEVELS["f16"].ftype)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_rope(writer, checkpoint)
    thought = about.identity.thought
    control = dict(zip((thought.start_id, thought.end_id), TOKENS, strict=True)) if thought else {}
    add_tokenizer(writer, checkpoint.folder, checkpoint.shape.vocab, control)
    add_own_keys(writer, own_keys(about.facts(checkpoint)))
    found: Metadata = writer.kv_data[0]
    return found


def _at_level(
    metadata: Metadata, level: Level, matrix: ImportanceMatrix | None, imatrix: Path | None
) -> Metadata:
    """Metadata of a level; llama-quantize moves what it sets to the end."""
    found = dict(metadata)
    found[FILE_TYPE] = gguf.GGUFValue(level.ftype, gguf.GGUFValueType.UINT32)
    if level.name in UNQUANTIZED:
        return found
    found |= {key: found.pop(key) for key in (QUANTIZATION_VERSION, FILE_TYPE)}
    if matrix is not None and imatrix is not None:
        texts = {"file": imatrix.name, "dataset": matrix.dataset}
        counts = {"entries_count": len(matrix.importance), "chunks_count": matrix.chunks}
        for key, text in texts.items():
            found[f"quantize.imatrix.{key}"] = gguf.GGUFValue(cut(text), gguf.GGUFValueType.STRING)
        for key, count in counts.items():
            found[f"quantize.imatrix.{key}"] = gguf.GGUFValue(count, gguf.GGUFValueType.UINT32)
    return found


def _write_front(out: Path, metadata: Metadata, found: Sequence[Place]) -> None:
    """Everything before the weights: metadata, and where each tensor will stand."""
    writer = gguf.GGUFWriter(out, "")
    writer.kv_data = [metadata]
    try:
        for place in found:
            kind: Any = place.kind  # the package has no name for the newest
            float32 = np.dtype(np.float32)  # not looked at
            writer.add_tensor_info(place.name, place.shape, float32, place.size_bytes, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.write_padding(writer.fout[0], writer.fout[0].tell())
    finally:
        writer.close()


def own_rows(checkpoint: Checkpoint, thought: ThoughtProtocol | None) -> dict[int, Any]:
    """Rows of the embedding matrix that are not the checkpoint's: START and END of a thinker."""
    if thought is None:
        return {}
    start, end = thought_rows(checkpoint, thought.embedding)
    return {thought.start_id: start, thought.end_id: end}


def _add_sizes(writer: Any, checkpoint: Checkpoint, origin: str) -> None:
    config = checkpoint.config
    writer.add_type("model")
    writer.add_name(origin)
    total = sum(tensor.elements for tensor in checkpoint.tensors.values())
    writer.add_size_label(gguf.size_label(total, total, 0, 0))
    add_shape(
        writer,
        checkpoint.shape,
        config.get("rms_norm_eps", 1e-6),
        own_head_dim=bool(config.get("head_dim")),
    )


def add_shape(
    writer: Any, shape: Shape, rms_norm_eps: float, *, own_head_dim: bool = False
) -> None:
    """The sizes of a model. `own_head_dim`: where it is not `hidden / heads`."""
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(rms_norm_eps)
    writer.add_vocab_size(shape.vocab)
    writer.add_rope_dimension_count(shape.head_dim)
    if own_head_dim:
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)


def add_own_keys(writer: Any, keys: Iterable[tuple[str, str | int]]) -> None:
    """Role and protocols as `starbase.*` keys, so that the file alone still carries them."""
    for key, value in keys:
        kind = gguf.GGUFValueType.INT32 if isinstance(value, int) else gguf.GGUFValueType.STRING
        writer.add_key_value(key, value, kind)  # an empty string too
