"""llama.cpp's own functions on rows of weights. Python's lock is free while they run."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.block_sizes import BLOCKS
from convert.ggml import library, type_name
from convert.refusal import Refusal

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.uint16]

ADDRESS, COUNT, KIND = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int


@cache
def _function(name: str, result: Any, *arguments: Any, of: str = "ggml-base") -> Any:
    found = getattr(library(of), name)
    found.restype, found.argtypes = result, list(arguments)
    return found


def row_bytes(kind: int, columns: int) -> int:
    """Bytes of a row in a ggml type that fits it."""
    weights, size = BLOCKS[kind]
    return columns // weights * size


def quantized(kind: int, rows: Floats, importance: Floats | None = None) -> Bytes:
    """(R, C) rows in a ggml type, as one run of bytes; `importance` is (C,).

    Raises:
        Refusal: if a scale of the type cannot hold what is in a block.
    """
    count, columns = rows.shape
    quantize = _function(
        "ggml_quantize_chunk", ctypes.c_size_t, KIND, ADDRESS, ADDRESS, *3 * [COUNT], ADDRESS
    )
    out = np.empty(count * row_bytes(kind, columns), np.uint8)
    weights = None if importance is None else importance.ctypes.data
    quantize(kind, rows.ctypes.data, out.ctypes.data, 0, count, columns, weights)
    valid = _function("ggml_validate_row_data", ctypes.c_bool, KIND, ADDRESS, ctypes.c_size_t)
    if not valid(kind, out.ctypes.data, out.nbytes):
        raise Refusal(f"values are too large for {type_name(kind)}; choose bf16 or f32")
    return out


def float16_and_back(values: Floats) -> Floats:
    """The nearest values that float16 holds."""
    found, halves = np.empty_like(values), np.empty(values.shape, np.uint16)
    shorten = _function("ggml_cpu_fp32_to_fp16", None, ADDRESS, ADDRESS, COUNT, of="ggml-cpu")
    widen = _function("ggml_cpu_fp16_to_fp32", None, ADDRESS, ADDRESS, COUNT, of="ggml-cpu")
    shorten(values.ctypes.data, halves.ctypes.data, values.size)
    widen(halves.ctypes.data, found.ctypes.data, values.size)
    return found
