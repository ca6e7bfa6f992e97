"""States between the layers of llama.cpp's models, as it hands them out or as it is watched."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Protocol

import llama_cpp.llama_cpp as llama
import numpy as np

from convert.ggml_tensor import GraphTensor, rows
from convert.gguf_header import Header
from runtime.engine import Hidden
from runtime.probe import Probe

SET_INPUT = "_Z30llama_set_embeddings_layer_inpP13llama_contextjb"  # of llama.cpp's llama-ext.h
GET_INPUT = "_Z30llama_get_embeddings_layer_inpP13llama_contextj"
GIVING = ("llama", "qwen3", "qwen3moe")  # architectures that fill them; others end the process


class LayerStates(Protocol):
    """The states after some layers, for every token of a decode call."""

    callback: Any  # for the context to be opened with; None: none

    def attach(self, context: Any) -> None:
        """Begin, on a context that was opened."""
        ...

    def clear(self) -> None:
        """A decode call is about to begin."""
        ...

    def read(self, context: Any, tokens: int) -> list[Hidden]:
        """(tokens, D) of each layer, after the call; valid until the next."""
        ...


def layer_states(header: Header, probe: Probe | None) -> LayerStates | None:
    """What a probe reads between the layers of a model; None where it reads nothing there."""
    layers = probe.inner() if probe is not None else ()
    if not layers:
        return None
    architecture = header.values["general.architecture"]
    if architecture in GIVING and hasattr(llama._lib, SET_INPUT):
        return LayerInputs(layers, header.values[f"{architecture}.embedding_length"])
    return LayerOutputs(layers)


class LayerInputs:
    """States that llama.cpp copies out itself: what goes into layer n has passed n layers."""

    callback = None

    def __init__(self, layers: Sequence[int], width: int) -> None:
        self._layers, self._width = layers, width
        setter, getter = getattr(llama._lib, SET_INPUT), getattr(llama._lib, GET_INPUT)
        setter.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_bool]
        getter.argtypes, getter.restype = [ctypes.c_void_p, ctypes.c_uint32], ctypes.c_void_p
        self._set, self._get = setter, getter

    def attach(self, context: Any) -> None:
        for layer in self._layers:
            self._set(context, layer, True)

    def clear(self) -> None:
        """Nothing is kept here."""

    def read(self, context: Any, tokens: int) -> list[Hidden]:
        found = []
        for layer in self._layers:
            raw: Any = (ctypes.c_float * (tokens * self._width)).from_address(
                self._get(context, layer)
            )
            found.append(np.frombuffer(raw, np.float32).reshape(tokens, self._width))
        return found


class LayerOutputs:
    """States seen by llama.cpp's `cb_eval`, which asks about every node of the graph."""

    def __init__(self, layers: Sequence[int]) -> None:
        self._places = {f"l_out-{layer - 1}".encode(): n for n, layer in enumerate(layers)}
        self._seen: list[list[Hidden]] = [[] for _ in layers]
        self.callback = llama.ggml_backend_sched_eval_callback(self._see)

    def _see(self, pointer: int, asks: bool, _user_data: Any) -> bool:
        place = self._places.get(ctypes.string_at(pointer + GraphTensor.name.offset))
        if asks or place is None:
            return place is not None
        self._seen[place].append(rows(GraphTensor.from_address(pointer)).copy())
        return True

    def attach(self, context: Any) -> None:
        """The context was opened with the callback."""

    def clear(self) -> None:
        for blocks in self._seen:
            blocks.clear()

    def read(self, context: Any, tokens: int) -> list[Hidden]:  # noqa: ARG002
        found = [blocks[0] if len(blocks) == 1 else np.concatenate(blocks) for blocks in self._seen]
        assert all(len(states) == tokens for states in found)
        return found
