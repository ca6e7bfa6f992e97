"""One tensor of a checkpoint on disk, widened to float32 some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal

BLOCK_WEIGHTS = 1 << 24  # of one tensor widened to float32 at a time: 64 MiB
NUMPY = {  # bfloat16 and float8 as their bits
    "float32": "<f4",
    "float16": "<f2",
    "bfloat16": "<u2",
    "float8_e4m3fn": "u1",
    "float8_e5m2": "u1",
}
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor on disk. `read` gives its values; bfloat16 and float8 come as their bits."""

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
            yield part, self.widened(raw[part])

    def rows(self, part: slice) -> npt.NDArray[np.float32]:
        """Some rows in float32; raises as `blocks` does."""
        return self.widened(self.read()[part])

    def float32(self) -> npt.NDArray[np.float32]:
        """The whole tensor in float32; raises as `blocks` does."""
        if not self.shape:
            return self.widened(self.read())
        values = np.empty(self.shape, np.float32)
        for part, block in self.blocks():
            values[part] = block
        return values

    def widened(self, raw: Array) -> npt.NDArray[np.float32]:
        """Values as they are on disk, in float32; raises as `blocks` does."""
        values = _widen(raw, self.dtype)
        if not math.isfinite(largest(values)):
            raise Refusal(f"tensor {self.name} holds NaN or infinite weights")
        return values


def _widen(raw: Array, dtype: str) -> npt.NDArray[np.float32]:
    if dtype in FLOAT8:
        return _of_float8(dtype)[raw]
    return widen(raw) if dtype == "bfloat16" else raw.astype(np.float32)


@cache
def _of_float8(dtype: str) -> npt.NDArray[np.float32]:
    """All values of a float of eight bits, (256,), by its bits."""
    bits = np.arange(256, dtype=np.uint8)
    if dtype == "float8_e5m2":  # the first half of a float16
        return (bits.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
    exponent, mantissa = ((bits >> 3) & 15).astype(np.int32), (bits & 7).astype(np.float32)
    values = np.asarray(np.ldexp(mantissa / 8 + (exponent > 0), np.maximum(exponent, 1) - 7))
    values[(bits & 127) == 127] = np.nan
    values[128:] *= -1
    return values.astype(np.float32)


def widen(bits: Array) -> npt.NDArray[np.float32]:
    """bfloat16 bits as float32."""
    found = bits.astype(np.uint32)
    found <<= 16
    return found.view(np.float32)


def largest(values: npt.NDArray[np.float32]) -> float:
    """The largest size of a value; not finite where one is not. Allocates nothing."""
    return max(float(values.max()), -float(values.min())) if values.size else 0.0
