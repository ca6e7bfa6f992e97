"""Models without values, and contexts without memory: llama.cpp's own word on its sizes."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import llama_cpp.llama_cpp as llama
import numpy as np

from convert import llama_log
from convert.to_gguf import add_shape
from profiles.plan.model_tensors import ModelTensors
from runtime.footprint import Load
from runtime.gguf_context import BATCH_TOKENS, KV_TYPES

SIZE = r" = +([\d.]+) MiB"


def write_ghost(path: Path, outline: ModelTensors) -> Path:
    """A GGUF of an outline at f16 with a header and a hole: llama.cpp takes it for whole."""
    marks = {"attn_q.bias": "qwen2", "attn_q_norm.weight": "qwen3"}
    first = {tensor.name.removeprefix("blk.0.") for tensor in outline.tensors}
    writer = gguf.GGUFWriter(path, next((marks[m] for m in marks if m in first), "llama"))
    add_shape(writer, outline.shape, 1e-5, own_head_dim=True)
    writer.add_tokenizer_model("none")
    writer.add_file_type(1)
    size = 0
    for tensor in outline.tensors:
        dtype = np.dtype(np.float32 if len(tensor.sides) == 1 else np.float16)
        count = int(np.prod(tensor.sides)) * dtype.itemsize
        writer.add_tensor_info(tensor.name, tensor.sides, dtype, count)
        size += -(-count // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    start = -(-writer.fout[0].tell() // 32) * 32
    writer.close()
    os.truncate(path, start + size)
    return path


@contextmanager
def log() -> Iterator[list[str]]:
    """All lines that llama.cpp logs meanwhile."""
    lines: list[str] = []

    @llama.llama_log_callback
    def keep(_level: int, text: bytes, _user_data: Any) -> None:
        lines.append(text.decode("utf-8", "replace").rstrip())

    llama.llama_backend_init()
    llama.llama_log_set(keep, None)
    try:
        yield lines
    finally:
        llama_log.capture()


def mib(lines: list[str], label: str) -> float:
    """The newest size that was logged under a label, in MiB; 0 where there is none."""
    found = [match[1] for line in lines if (match := re.search(label + SIZE, line))]
    return float(found[-1]) if found else 0.0


def dry_context(path: Path, load: Load) -> tuple[float, float, float]:
    """Compute buffer, KV cache and logits of a context in MiB, as llama.cpp would reserve them."""
    model_parameters = llama.llama_model_default_params()
    model_parameters.n_gpu_layers = 0
    model_parameters.no_alloc = True
    model_parameters.load_mode = llama.LLAMA_LOAD_MODE_NONE
    kv_type, _ = KV_TYPES[load.kv_type]
    parameters = llama.llama_context_default_params()
    parameters.n_ctx, parameters.n_seq_max = load.allocated_cells, load.branches
    parameters.n_batch, parameters.n_ubatch = BATCH_TOKENS, load.batch
    parameters.type_k = parameters.type_v = kv_type
    parameters.kv_unified = True
    if load.kv_type != "f16":
        parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
    with log() as lines:
        model = llama.llama_model_load_from_file(str(path).encode(), model_parameters)
        assert model, lines[-3:]
        context = llama.llama_init_from_model(model, parameters)
        assert context, lines[-3:]
        llama.llama_free(context)
        llama.llama_model_free(model)
    return (
        mib(lines, "compute buffer size"),
        mib(lines, "llama_kv_cache: size"),
        mib(lines, "output buffer size"),
    )


def quantized_mib(path: Path, ftype: int, *, imatrix: bool = False) -> float:
    """The size in MiB that llama.cpp's quantizer would write."""
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype, parameters.dry_run = ftype, True
    values = (ctypes.c_float * 1)(1.0)
    entries = (llama.llama_model_imatrix_data * 2)()
    entries[0].name, entries[0].size, entries[0].data = b"some", 1, values
    if imatrix:
        pointer = ctypes.POINTER(llama.llama_model_imatrix_data)
        parameters.imatrix = ctypes.cast(entries, pointer)
    with log() as lines:
        target = str(path.with_suffix(".none")).encode()
        code = llama.llama_model_quantize(str(path).encode(), target, ctypes.byref(parameters))
    assert code == 0, lines[-3:]
    return mib(lines, "quant size ")


def quantize_pure(source: Path, out: Path, ftype: int) -> Path:
    """A GGUF whose matrices all have the one type of a file type."""
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype, parameters.pure = ftype, True
    with log() as lines:
        names = str(source).encode(), str(out).encode()
        code = llama.llama_model_quantize(*names, ctypes.byref(parameters))
    assert code == 0, lines[-3:]
    return out
