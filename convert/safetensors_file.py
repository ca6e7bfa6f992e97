"""A safetensors file, by its header: every byte of it belongs to one tensor."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from convert.bounds import shown
from convert.files import regular
from convert.refusal import Refusal
from convert.tensor import NUMPY, Array, Tensor

DTYPES = {
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
HEADER_BYTES = 100_000_000  # the format's own limit
SIDE = 1 << 48


def open_safetensors(path: Path) -> list[Tensor]:
    """Tensors of one file; their extents are checked against its size, nothing else is read.

    Raises:
        Refusal: if it is cut short or damaged, or its tensors overlap or leave a hole.
    """
    size = regular(path).stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        if not 2 <= length <= min(size - 8, HEADER_BYTES):
            raise Refusal(f"{path} is not a safetensors file, or was cut short")
        try:
            header = json.loads(file.read(length).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise Refusal(f"{path} is not a safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise Refusal(f"{path} is not a safetensors file: its header is no table")
    header.pop("__metadata__", None)
    for name, entry in header.items():
        _check(path, name, entry)
    extents = [entry["data_offsets"] for entry in header.values()]
    end = max((last for _, last in extents), default=0)
    if 8 + length + end != size:
        raise Refusal(
            f"{path} is cut short: {size} bytes, its header names {8 + length + end}; "
            "download it again"
        )
    _check_order(path, header)
    return [_entry(path, name, entry, 8 + length) for name, entry in header.items()]


def _check(path: Path, name: str, entry: Any) -> None:
    """Types and ranges of what is said of a tensor."""
    if not isinstance(entry, dict):
        raise Refusal(f"{path} has a damaged safetensors header: tensor {shown(name)} is no table")
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    right = (
        isinstance(entry.get("dtype"), str)
        and isinstance(shape, list)
        and all(type(side) is int and 0 <= side < SIDE for side in shape)
        and isinstance(offsets, list)
        and [type(offset) for offset in offsets] == [int, int]
        and 0 <= offsets[0] <= offsets[1]
    )
    if not right:
        raise Refusal(
            f"{path} has a damaged safetensors header: tensor {shown(name)} is {shown(entry)}; "
            "download it again"
        )


def _check_order(path: Path, header: dict[str, Any]) -> None:
    """Each tensor begins where the one before it ends."""
    at = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = entry["data_offsets"]
        if start != at:
            raise Refusal(
                f"{path} gives tensor {shown(name)} bytes from {start}, the one before it ends at "
                f"{at}; download it again"
            )
        at = end


def _entry(path: Path, name: str, entry: dict[str, Any], base: int) -> Tensor:
    shape, dtype = tuple(entry["shape"]), DTYPES.get(entry["dtype"], entry["dtype"])
    start, end = (base + offset for offset in entry["data_offsets"])
    count = math.prod(shape)
    if dtype in NUMPY and end - start != count * np.dtype(NUMPY[dtype]).itemsize:
        raise Refusal(f"{path} gives tensor {name} {end - start} bytes for shape {list(shape)}")

    def read() -> Array:
        if dtype not in NUMPY:
            raise Refusal(f"tensor {name} has dtype {dtype}; expected {', '.join(NUMPY)}")
        if not count:
            return np.zeros(shape, NUMPY[dtype])
        return np.memmap(path, NUMPY[dtype], "r", start, (count,)).reshape(shape)

    return Tensor(name, shape, dtype, read)
