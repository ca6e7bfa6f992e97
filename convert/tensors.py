"""Tensors of a checkpoint, read one at a time; headers are checked before anything is read."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal

DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
BLOCK_WEIGHTS = 1 << 24  # of one tensor widened to float32 at a time: 64 MiB
NUMPY = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}  # bfloat16 as its bits
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor on disk. `read` gives its values; bfloat16 comes as uint16 bits."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    def blocks(self) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """The values in float32, exactly, some rows at a time.

        Raises:
            Refusal: if one of them is not finite; names the tensor.
        """
        raw = self.read()
        rows = max(1, BLOCK_WEIGHTS * self.shape[0] // max(1, self.elements))
        for start in range(0, self.shape[0], rows):
            part = slice(start, start + rows)
            yield part, self._float32(raw[part])

    def rows(self, part: slice) -> npt.NDArray[np.float32]:
        """Some rows in float32; raises as `blocks` does."""
        return self._float32(self.read()[part])

    def float32(self) -> npt.NDArray[np.float32]:
        """The whole tensor in float32; raises as `blocks` does."""
        values = np.empty(self.shape, np.float32)
        for part, block in self.blocks():
            values[part] = block
        return values

    def _float32(self, raw: Array) -> npt.NDArray[np.float32]:
        values = widen(raw) if self.dtype == "bfloat16" else raw.astype(np.float32)
        if not np.isfinite(values).all():
            raise Refusal(f"tensor {self.name} holds NaN or infinite weights")
        return values


def widen(bits: Array) -> npt.NDArray[np.float32]:
    """bfloat16 bits as float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def open_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder: safetensors, sharded or not, else pytorch .bin files.

    Raises:
        FileNotFoundError: if there are no weights, or a shard of the index is missing.
        Refusal: if a file is cut short or is no safetensors file.
    """
    if files := _shards(folder, "model.safetensors", "model-*.safetensors", "*.safetensors"):
        return {t.name: t for file in files for t in _safetensors(file)}
    if files := _shards(folder, "pytorch_model.bin", "pytorch_model-*.bin"):
        return {t.name: t for file in files for t in _torch_file(file)}
    raise FileNotFoundError(
        f"{folder} has no weights: expected *.safetensors or pytorch_model*.bin"
    )


def _shards(folder: Path, single: str, *patterns: str) -> list[Path]:
    index = folder / f"{single}.index.json"
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refusal(f"{index} is not an index of weights: {error}") from error
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}, named in {index.name}")
        return [folder / name for name in names]
    if (folder / single).exists():
        return [folder / single]
    found = (sorted(folder.glob(pattern)) for pattern in patterns)
    return next((files for files in found if files), [])


def _safetensors(path: Path) -> list[Tensor]:
    """Tensors of one file, from its header; their extents are checked against its size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        if not 2 <= length <= size - 8:
            raise Refusal(f"{path} is not a safetensors file, or was cut short")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise Refusal(f"{path} is not a safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise Refusal(f"{path} is not a safetensors file: its header is no table")
    header.pop("__metadata__", None)
    try:
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if 8 + length + end != size:
            raise Refusal(
                f"{path} is cut short: {size} bytes, its header names {8 + length + end}; "
                "download it again"
            )
        return [_entry(path, name, entry, 8 + length) for name, entry in header.items()]
    except (KeyError, TypeError, AttributeError) as error:
        raise Refusal(f"{path} has a damaged safetensors header: {error}") from error


def _entry(path: Path, name: str, entry: dict[str, Any], base: int) -> Tensor:
    shape, dtype = tuple(entry["shape"]), DTYPES.get(entry["dtype"], str(entry["dtype"]))
    start, end = (base + offset for offset in entry["data_offsets"])
    if dtype in NUMPY and end - start != math.prod(shape) * np.dtype(NUMPY[dtype]).itemsize:
        raise Refusal(f"{path} gives tensor {name} {end - start} bytes for shape {list(shape)}")

    def read() -> Array:
        if dtype not in NUMPY:
            raise Refusal(f"tensor {name} has dtype {dtype}; expected {', '.join(NUMPY)}")
        mapped = np.memmap(path, NUMPY[dtype], "r", start, (math.prod(shape),)) if shape else None
        return np.zeros((), NUMPY[dtype]) if mapped is None else mapped.reshape(shape)

    return Tensor(name, shape, dtype, read)


def _torch_file(path: Path) -> list[Tensor]:
    """Tensors of a .bin file. Only weights are unpickled, and they stay on disk until read."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises a dozen types for a bad file
        raise Refusal(f"{path} cannot be read as weights: {error}") from error
    return [_from_torch(name, value) for name, value in state.items()]


def _from_torch(name: str, value: Any) -> Tensor:
    import torch

    dtype = str(value.dtype).removeprefix("torch.")

    def read() -> Array:
        bits = value.contiguous().view(torch.uint16) if dtype == "bfloat16" else value.contiguous()
        return np.asarray(bits.numpy())

    return Tensor(name, tuple(value.shape), dtype, read)
