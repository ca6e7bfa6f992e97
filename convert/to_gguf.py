"""Writing a checkpoint as an unquantized GGUF, one tensor in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from convert.checkpoint import Checkpoint
from convert.gguf_tokenizer import add_tokenizer
from convert.levels import parse_level
from convert.mapping import Mapped, tensor_map
from convert.tensors import Tensor

TYPES = {"f32": Type.F32, "f16": Type.F16, "bf16": Type.BF16}
F16_MAX = 65504.0
Progress = Callable[[str], None]  # is told every tensor written


class ExceedsFloat16(ValueError):
    """A weight is larger than float16 can hold."""


def write_gguf(
    checkpoint: Checkpoint,
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
        ValueError: for missing, misshapen or non-finite tensors, a tokenizer or rope setting that
            llama.cpp lacks, or values that float16 cannot hold.
    """
    mapped = tensor_map(checkpoint)
    writer = gguf.GGUFWriter(out, "qwen2" if checkpoint.architecture == "qwen2" else "llama")
    _add_sizes(writer, checkpoint, origin)
    writer.add_file_type(parse_level(level).ftype)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_rope(writer, checkpoint)
    add_tokenizer(writer, checkpoint.folder, checkpoint.shape.vocab)
    add_own_keys(writer, checkpoint, origin, revision, heads)
    extra = _rope_factors(checkpoint)
    for m in mapped:
        kind = Type.F32 if m.full else TYPES[level]
        size = math.prod(m.shape) * (4 if kind == Type.F32 else 2)
        writer.add_tensor_info(m.name, m.shape, np.dtype(np.float32), size, raw_dtype=kind)
    if extra is not None:
        writer.add_tensor_info("rope_freqs.weight", extra.shape, extra.dtype, extra.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for m in mapped:
        writer.write_tensor_data(_values(m, checkpoint.tensors[m.source], level))
        progress(m.name)
    if extra is not None:
        writer.write_tensor_data(extra)
    writer.close()


def _values(mapped: Mapped, tensor: Tensor, level: str) -> Any:
    """The tensor's values in the type they are written in."""
    full = mapped.arrange(tensor.float32())
    if mapped.full or level == "f32":
        return full
    if level == "bf16":
        return gguf.quants.quantize(full, Type.BF16)
    if np.abs(full).max() > F16_MAX:
        raise ExceedsFloat16(f"tensor {tensor.name} exceeds float16; choose --quant bf16 or f32")
    return full.astype(np.float16)


def _add_sizes(writer: Any, checkpoint: Checkpoint, origin: str) -> None:
    config, shape = checkpoint.config, checkpoint.shape
    writer.add_type("model")
    writer.add_name(origin)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(shape.vocab)
    writer.add_rope_dimension_count(shape.head_dim)
    if "head_dim" in config:
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)


def _rope(checkpoint: Checkpoint) -> dict[str, Any]:
    """Rope settings, wherever this version of transformers put them."""
    config = checkpoint.config
    found = dict(config.get("rope_scaling") or {}) | dict(config.get("rope_parameters") or {})
    theta = found.get("rope_theta", config.get("rope_theta", 10000.0))
    kind = found.get("rope_type", found.get("type", "default"))
    return found | {"rope_theta": float(theta), "rope_type": kind}


def _add_rope(writer: Any, checkpoint: Checkpoint) -> None:
    rope = _rope(checkpoint)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("default", "llama3"):
        return
    if rope["rope_type"] not in ("linear", "yarn"):
        raise ValueError(
            f"rope scaling {rope['rope_type']!r} has no GGUF form here; "
            "default, linear, yarn and llama3 have"
        )
    linear = rope["rope_type"] == "linear"
    kind = gguf.RopeScalingType.LINEAR if linear else gguf.RopeScalingType.YARN
    writer.add_rope_scaling_type(kind)
    writer.add_rope_scaling_factor(rope["factor"])
    if not linear:
        original = rope.get("original_max_position_embeddings", checkpoint.shape.context)
        writer.add_rope_scaling_orig_ctx_len(original)


def _rope_factors(checkpoint: Checkpoint) -> Any:
    """Llama 3's divisor of every rope frequency (head_dim / 2,), or None for other models."""
    rope = _rope(checkpoint)
    if rope["rope_type"] != "llama3":
        return None
    pairs = np.arange(0, checkpoint.shape.head_dim, 2, dtype=np.float64)
    wavelength = 2 * np.pi * rope["rope_theta"] ** (pairs / checkpoint.shape.head_dim)
    factor, low = rope["factor"], rope["low_freq_factor"]
    high, context = rope["high_freq_factor"], rope["original_max_position_embeddings"]
    smooth = (context / wavelength - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return np.where(
        wavelength < context / high, 1.0, np.where(wavelength > context / low, factor, between)
    ).astype(np.float32)


def add_own_keys(
    writer: Any, checkpoint: Checkpoint, origin: str, revision: str | None, heads: str | None
) -> None:
    """Role and protocols as `starbase.*` keys, so that the file alone still carries them."""
    for key, value in own_keys(checkpoint, origin, revision, heads):
        if isinstance(value, int):
            writer.add_int32(key, value)
        else:
            writer.add_string(key, value)


def own_keys(
    checkpoint: Checkpoint, origin: str, revision: str | None, heads: str | None
) -> Iterator[tuple[str, str | int]]:
    """Keys and values; what is None is left out."""
    plain = {
        "role": checkpoint.role,
        "architecture": checkpoint.architecture,
        "source": origin,
        "revision": revision,
        "heads": heads,
    }
    groups = {"": plain}
    for name, protocol in (("prompt.", checkpoint.prompt), ("reward.", checkpoint.reward)):
        groups[name] = asdict(protocol) if protocol is not None else {}
    for group, values in groups.items():
        for key, value in values.items():
            if value is not None:
                yield f"starbase.{group}{key}", value
