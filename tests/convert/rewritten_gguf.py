"""A GGUF written anew: in several files, or with its tokenizer under another architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np


def rewrite(
    source: Path, out: Path, architecture: str, added: dict[str, int], tensors: list[Any]
) -> None:
    """Write some tensors with the keys of a source, its architecture's renamed, and a few more."""
    reader = gguf.GGUFReader(source)
    old = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(out, architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        name = field.name.replace(f"{old}.", f"{architecture}.", 1)
        inner = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(name, field.contents(), field.types[0], inner)
    for key, value in added.items():
        add = writer.add_int32 if key == "split.tensors.count" else writer.add_uint16
        add(key, value)
    for tensor in tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def split(source: Path, folder: Path, count: int) -> list[Path]:
    """Write a GGUF in several files, named as llama-gguf-split names them."""
    tensors = gguf.GGUFReader(source).tensors
    size = -(-len(tensors) // count)
    paths = [folder / f"split-{n + 1:05d}-of-{count:05d}.gguf" for n in range(count)]
    for n, path in enumerate(paths):
        part = tensors[n * size : (n + 1) * size]
        added = {"split.no": n, "split.count": count, "split.tensors.count": len(tensors)}
        rewrite(source, path, "llama", added, part)
    return paths


def write_mamba(source: Path, out: Path) -> Path:
    """Write a random Mamba of two layers, without attention, with the tokenizer of a source."""
    reader, writer = gguf.GGUFReader(source), gguf.GGUFWriter(out, "mamba")
    for field in reader.fields.values():
        if field.name.startswith("tokenizer."):
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    hidden, inner_size, state, rank = 64, 128, 16, 4
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(2)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(inner_size)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    rng = np.random.default_rng(0)
    layer: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (hidden,),
        "ssm_in.weight": (2 * inner_size, hidden),
        "ssm_conv1d.weight": (inner_size, 4),
        "ssm_conv1d.bias": (inner_size,),
        "ssm_x.weight": (rank + 2 * state, inner_size),
        "ssm_dt.weight": (inner_size, rank),
        "ssm_dt.bias": (inner_size,),
        "ssm_a": (inner_size, state),
        "ssm_d": (inner_size,),
        "ssm_out.weight": (hidden, inner_size),
    }
    vocabulary = len(reader.fields["tokenizer.ggml.tokens"].data)
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary, hidden)}
    shapes |= {f"blk.{n}.{name}": shape for n in range(2) for name, shape in layer.items()}
    for name, shape in {**shapes, "output_norm.weight": (hidden,)}.items():
        values = 0.1 * rng.normal(size=shape).astype(np.float32)
        writer.add_tensor(name, -np.exp(values) if name.endswith("ssm_a") else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out
