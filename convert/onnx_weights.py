"""Weights of an ONNX graph: quantized in blocks, written to a file of raw bytes as they come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

ALIGNMENT = 4096  # so that onnxruntime can map a tensor
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a tensor lies in the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    length: int


class WeightFile:
    """Tensors one after another; nothing stays in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tensors: dict[str, Stored] = {}

    def add(self, name: str, shape: tuple[int, ...], blocks: Iterable[npt.NDArray[Any]]) -> None:
        """Append a tensor that comes as contiguous pieces of its rows."""
        offset = -(-self._file.tell() // ALIGNMENT) * ALIGNMENT
        self._file.seek(offset)
        dtype = None
        for block in blocks:
            self._file.write(np.ascontiguousarray(block).data)
            dtype = block.dtype
        assert dtype is not None
        length = self._file.tell() - offset
        self.tensors[name] = Stored(dtype, shape, offset, length)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows of integers with a scale for each block, in the layout of MatMulNBits."""

    packed: npt.NDArray[np.uint8]  # (N, blocks, block * bits / 8)
    scales: npt.NDArray[np.float16]  # (N, blocks)
    zeros: npt.NDArray[np.uint8] | None  # (N, ceil(blocks * bits / 8)); None: symmetric


def quantize(weights: Floats, bits: int, block: int, *, symmetric: bool) -> Blocks:
    """Round each row (N, K) to the nearest integers, block by block.

    Symmetric: the weight of the largest magnitude becomes the lowest integer exactly. Asymmetric:
    lowest and highest weight become the lowest and highest integer.
    """
    rows, columns = weights.shape
    count = -(-columns // block)
    if count * block != columns:
        weights = np.pad(weights, ((0, 0), (0, count * block - columns)))
    parts = weights.reshape(rows, count, block)
    top, half = (1 << bits) - 1, 1 << (bits - 1)
    low, high = parts.min(axis=2), parts.max(axis=2)
    if symmetric:
        scales = (np.where(-low >= high, low, high) / -half).astype(np.float16)
        zeros = np.full((rows, count), half, np.uint8)
    else:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        scales = ((high - low) / top).astype(np.float16)
        zeros = np.rint(-low * _inverse(scales)).clip(0, top).astype(np.uint8)
    codes = parts * _inverse(scales)[..., None]
    np.rint(codes, out=codes)
    codes += zeros[..., None]
    np.clip(codes, 0, top, out=codes)
    return Blocks(
        _pack(codes.astype(np.uint8), bits), scales, None if symmetric else _pack(zeros, bits)
    )


def dequantize(blocks: Blocks, bits: int, columns: int) -> Floats:
    """What the kernel multiplies with: (N, columns)."""
    codes = _unpack(blocks.packed, bits).astype(np.float32)  # (N, blocks, block)
    half = 1 << (bits - 1)
    zeros: Any = half
    if blocks.zeros is not None:
        zeros = _unpack(blocks.zeros, bits)[:, : codes.shape[1], None].astype(np.float32)
    values = (codes - zeros) * blocks.scales.astype(np.float32)[..., None]
    return np.asarray(values.reshape(len(codes), -1)[:, :columns], np.float32)


def _inverse(scales: npt.NDArray[np.float16]) -> Floats:
    """1 / scale, and 0 for a block of zeros."""
    wide = scales.astype(np.float32)
    return np.divide(1, wide, out=np.zeros_like(wide), where=wide != 0)


def _pack(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Two four-bit codes in a byte, the first in its lower half."""
    if bits == 8:
        return codes
    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
    return np.bitwise_or(codes[..., ::2], np.left_shift(codes[..., 1::2], 4), dtype=np.uint8)


def _unpack(packed: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    if bits == 8:
        return packed
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)
