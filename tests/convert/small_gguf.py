"""A GGUF of one layer and twenty tokens, any key of which can be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

Type = gguf.GGUFValueType
TOKENS = [f"t{i}" for i in range(20)]
U32 = {
    "llama.block_count": 1,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.key_length": 16,
    "llama.feed_forward_length": 128,
    "llama.context_length": 32,
    "general.file_type": 1,
    "tokenizer.ggml.bos_token_id": 1,
}
KEYS: dict[str, Any] = U32 | {
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 10000.0,
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.scores": [0.0] * 20,
}
SHAPES = {
    "token_embd.weight": (20, 64),
    "output_norm.weight": (64,),
    "blk.0.attn_q.weight": (64, 64),
    "blk.0.attn_k.weight": (32, 64),
    "blk.0.ffn_down.weight": (64, 128),
}


def write_small(path: Path, changes: dict[str, Any], shapes: dict[str, Any] | None = None) -> Path:
    """Write it; a key that changes to None is left out, whole numbers are uint32."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in (KEYS | changes).items():
        if value is not None:
            inner = value[0] if isinstance(value, list) and value else value
            writer.add_key_value(key, value, _type(value), _type(inner))
    for name, shape in (SHAPES | (shapes or {})).items():
        if shape is not None:
            writer.add_tensor(name, np.zeros(shape, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _type(value: Any) -> gguf.GGUFValueType:
    if isinstance(value, list):
        return Type.ARRAY
    if isinstance(value, bool):
        return Type.BOOL
    if isinstance(value, int):
        return Type.UINT32
    return Type.STRING if isinstance(value, str) else Type.FLOAT32
