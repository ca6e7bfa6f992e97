"""Writing a checkpoint as an unquantized GGUF, one tensor in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from convert.architectures import ARCHITECTURES
from convert.artifact import ThoughtProtocol
from convert.checkpoint import Checkpoint
from convert.gguf_tokenizer import add_tokenizer
from convert.identity import Identity
from convert.levels import parse_level
from convert.mapping import Mapped, tensor_map
from convert.refusal import Refusal
from convert.rope import add_rope, rope_factors
from convert.tensors import Tensor
from convert.thoughts import TOKENS, thought_rows

TYPES = {"f32": Type.F32, "f16": Type.F16, "bf16": Type.BF16}
STORED = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}  # bfloat16 as its bits
F16_LIMIT = 65520.0  # rounds to infinity
Progress = Callable[[str], None]  # is told every tensor written


class ExceedsFloat16(Refusal):
    """A weight is larger than float16 can hold."""


def write_gguf(
    checkpoint: Checkpoint,
    identity: Identity,
    out: Path,
    level: str,
    *,
    origin: str,
    revision: str | None = None,
    heads: str | None = None,
    progress: Progress = lambda *_: None,
) -> None:
    """Write a checkpoint to `out` at level f32, f16 or bf16. Norms and vectors stay float32.

    Raises:
        Refusal: for missing, misshapen or non-finite tensors, a tokenizer or rope setting that
            llama.cpp lacks, or values that float16 cannot hold.
    """
    mapped = _placed(checkpoint)
    extra = rope_factors(checkpoint)
    thought = identity.thought
    rows = own_rows(checkpoint, thought)
    writer = gguf.GGUFWriter(out, ARCHITECTURES[checkpoint.architecture].gguf)
    try:
        _add_sizes(writer, checkpoint, origin)
        writer.add_file_type(parse_level(level).ftype)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        add_rope(writer, checkpoint)
        control = (
            dict(zip((thought.start_id, thought.end_id), TOKENS, strict=True)) if thought else {}
        )
        add_tokenizer(writer, checkpoint.folder, checkpoint.shape.vocab, control)
        add_own_keys(writer, own_keys(checkpoint, identity, origin, revision, heads))
        _add_tensors(writer, mapped, extra, level)
        for m in mapped:
            patch = rows if m.name == "token_embd.weight" else {}
            writer.write_tensor_data(_values(m, checkpoint.tensors[m.source], level, patch))
            progress(m.name)
        if extra is not None:
            writer.write_tensor_data(extra)
    finally:
        writer.close()


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


def _add_tensors(writer: Any, mapped: list[Mapped], extra: Any, level: str) -> None:
    """Write everything before the weights: metadata, and where each tensor will stand."""
    for m in mapped:
        kind = Type.F32 if m.full else TYPES[level]
        size = math.prod(m.shape) * (4 if kind == Type.F32 else 2)
        writer.add_tensor_info(m.name, m.shape, np.dtype(np.float32), size, raw_dtype=kind)
    if extra is not None:
        writer.add_tensor_info("rope_freqs.weight", extra.shape, extra.dtype, extra.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()


def own_rows(checkpoint: Checkpoint, thought: ThoughtProtocol | None) -> dict[int, Any]:
    """Rows of the embedding matrix that are not the checkpoint's: START and END of a thinker."""
    if thought is None:
        return {}
    start, end = thought_rows(checkpoint, thought.embedding)
    return {thought.start_id: start, thought.end_id: end}


def _values(mapped: Mapped, tensor: Tensor, level: str, patch: dict[int, Any]) -> Any:
    """The tensor's values in the type they are written in, some rows replaced."""
    kind = "f32" if mapped.full else level
    values = np.empty(mapped.shape, STORED[kind])
    for part, block in tensor.blocks():
        for i, row in patch.items():
            if part.start <= i < part.stop:
                block[i - part.start] = row
        if kind == "bf16":
            bits = gguf.quants.quantize(block, Type.BF16)  # as bytes
            values[part] = bits.view(np.uint16).reshape(block.shape)
            continue
        if kind == "f16" and max(block.max(), -block.min()) >= F16_LIMIT:
            raise ExceedsFloat16(f"tensor {tensor.name} exceeds float16; choose bf16 or f32")
        values[part] = block
    return mapped.arrange(values)


def _add_sizes(writer: Any, checkpoint: Checkpoint, origin: str) -> None:
    config, shape = checkpoint.config, checkpoint.shape
    writer.add_type("model")
    writer.add_name(origin)
    total = sum(tensor.elements for tensor in checkpoint.tensors.values())
    writer.add_size_label(gguf.size_label(total, total, 0, 0))
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6))
    writer.add_vocab_size(shape.vocab)
    writer.add_rope_dimension_count(shape.head_dim)
    if config.get("head_dim"):
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)


def add_own_keys(writer: Any, keys: Iterable[tuple[str, str | int]]) -> None:
    """Role and protocols as `starbase.*` keys, so that the file alone still carries them."""
    for key, value in keys:
        kind = gguf.GGUFValueType.INT32 if isinstance(value, int) else gguf.GGUFValueType.STRING
        writer.add_key_value(key, value, kind)  # an empty string too


def own_keys(
    checkpoint: Checkpoint,
    identity: Identity,
    origin: str,
    revision: str | None,
    heads: str | None,
) -> Iterator[tuple[str, str | int]]:
    """Keys and values; what is None is left out."""
    plain = {
        "role": identity.role,
        "architecture": checkpoint.architecture,
        "source": origin,
        "revision": revision,
        "heads": heads,
    }
    groups = {"": plain}
    protocols = {
        "prompt.": identity.prompt,
        "reward.": identity.reward,
        "thought.": identity.thought,
    }
    for name, protocol in protocols.items():
        groups[name] = asdict(protocol) if protocol is not None else {}
    for group, values in groups.items():
        for key, value in values.items():
            if value is not None:
                yield f"starbase.{group}{key}", value
