"""Tensors of llama.cpp while it computes, as its `cb_eval` callback shows them."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.ggml import library


class GraphTensor(ctypes.Structure):
    """ggml_tensor, as far as anybody here looks."""


GraphTensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * 4),
    ("nb", ctypes.c_size_t * 4),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * 16),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(GraphTensor) * 10),
    ("view_src", ctypes.c_void_p),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * 64),
]


def rows(tensor: Any) -> npt.NDArray[np.float32]:
    """(rows, columns) of a float32 tensor: a view of main memory, or a copy from a card."""
    base = _base()
    columns, count, stride = tensor.ne[0], tensor.ne[1], tensor.nb[1] // 4
    if base.ggml_backend_buffer_is_host(tensor.buffer):
        raw = (ctypes.c_float * (stride * count)).from_address(tensor.data)
        return np.frombuffer(raw, np.float32).reshape(count, stride)[:, :columns]
    values = np.empty((count, columns), np.float32)
    base.ggml_backend_tensor_get(
        ctypes.byref(tensor), values.ctypes.data_as(ctypes.c_void_p), 0, values.nbytes
    )
    return values


@cache
def _base() -> ctypes.CDLL:
    base = library("ggml-base")
    base.ggml_backend_buffer_is_host.argtypes = [ctypes.c_void_p]
    base.ggml_backend_buffer_is_host.restype = ctypes.c_bool
    base.ggml_backend_tensor_get.argtypes = [
        *(ctypes.c_void_p, ctypes.c_void_p),
        *(ctypes.c_size_t, ctypes.c_size_t),
    ]
    return base
