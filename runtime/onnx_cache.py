"""Keys and values of all cells, in buffers that onnxruntime reads and writes in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from convert.artifact import Shape
from runtime.onnx_cells import Indices


class KvCache:
    """Two tensors (1, heads, cells, head_dim) a layer: float32 on the CPU, float16 on CUDA."""

    def __init__(self, shape: Shape, cells: int, *, cuda: bool) -> None:
        size = (1, shape.kv_heads, cells, shape.head_dim)
        self._cuda = cuda
        self._values: dict[str, Any] = {}
        self._arrays: list[Any] = []  # the memory behind them on the CPU; pages come when written
        for layer in range(shape.layers):
            for kind in ("key", "value"):
                self._values[f"{layer}.{kind}"] = self._empty(size)
        itemsize = 2 if cuda else 4
        self.size_bytes = int(cells * shape.kv_bytes_per_token(itemsize))

    def _empty(self, size: tuple[int, ...]) -> Any:
        import onnxruntime as ort

        if self._cuda:
            return ort.OrtValue.ortvalue_from_shape_and_type(size, np.float16, "cuda", 0)
        self._arrays.append(np.zeros(size, np.float32))
        return ort.OrtValue.ortvalue_from_numpy(self._arrays[-1])  # shares the memory

    def bind(self, binding: Any) -> None:
        """Past and present of every layer are one buffer: new tokens are written in place."""
        for name, value in self._values.items():
            binding.bind_ortvalue_input(f"past_key_values.{name}", value)
            binding.bind_ortvalue_output(f"present.{name}", value)

    def free(self) -> None:
        """Give the memory back; nothing may be bound to it any more."""
        self._values.clear()
        self._arrays.clear()

    def keep(self, cells: Indices) -> None:
        """Move the kept cells to the front."""
        count = len(cells)
        for n, value in enumerate(self._values.values()):
            array = value.numpy() if self._cuda else self._arrays[n]
            array[:, :, :count] = array[:, :, cells]
            if self._cuda:
                value.update_inplace(array)
