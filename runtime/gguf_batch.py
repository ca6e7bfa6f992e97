"""A llama_batch whose arrays belong to numpy, so that a decode call costs slices, not loops."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
import numpy.typing as npt

from runtime.ragged import Ints

_INT32 = ctypes.POINTER(ctypes.c_int32)


class Batch:
    """Room for `capacity` tokens of one sequence each."""

    def __init__(self, capacity: int) -> None:
        self.token: Ints = np.zeros(capacity, np.int32)
        self.position: Ints = np.zeros(capacity, np.int32)
        self.slot: Ints = np.zeros(capacity, np.int32)
        self.output = np.zeros(capacity, np.int8)
        self._ones: Ints = np.ones(capacity, np.int32)
        addresses = self.slot.ctypes.data + 4 * np.arange(capacity, dtype=np.uintp)
        self._slot_pointers = addresses.astype(np.uintp)
        self.struct = llama.llama_batch()
        self.struct.token = self.token.ctypes.data_as(_INT32)
        self.struct.pos = self.position.ctypes.data_as(_INT32)
        self.struct.n_seq_id = self._ones.ctypes.data_as(_INT32)
        self.struct.seq_id = ctypes.cast(self._slot_pointers.ctypes.data, ctypes.POINTER(_INT32))
        self.struct.logits = self.output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    def fill(
        self, tokens: Ints, positions: Ints, slots: Ints, outputs: npt.NDArray[np.int8]
    ) -> None:
        """Take over parallel arrays of at most `capacity` entries."""
        n = len(tokens)
        self.token[:n], self.position[:n] = tokens, positions
        self.slot[:n], self.output[:n] = slots, outputs
        self.struct.n_tokens = n


class Rows:
    """Zero-copy (n, width) views of a float buffer that llama.cpp owns; cached by address."""

    def __init__(self, getter: str, width: int) -> None:
        # The binding builds a typed pointer, which costs more than the call: take the address.
        prototype: Any = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        self._getter: Callable[[Any], int] = prototype((getter, llama._lib))
        self._width = width
        self._views: dict[tuple[int, int], npt.NDArray[np.float32]] = {}

    def __call__(self, context: Any, n: int) -> npt.NDArray[np.float32]:
        """The first `n` rows; valid until the next decode."""
        key = self._getter(context), n
        if key not in self._views:
            if len(self._views) > 64:
                self._views.clear()
            buffer: Any = (ctypes.c_float * (n * self._width)).from_address(key[0])
            self._views[key] = np.frombuffer(buffer, np.float32).reshape(n, self._width)
        return self._views[key]
