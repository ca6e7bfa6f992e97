"""One tensor of a checkpoint on disk, widened to float32 some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal

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
        values = widen(raw) if self.dtype == "bfloat16" else raw.astype(np.float32)
        if not np.isfinite(values).all():
            raise Refusal(f"tensor {self.name} holds NaN or infinite weights")
        return values


def widen(bits: Array) -> npt.NDArray[np.float32]:
    """bfloat16 bits as float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
