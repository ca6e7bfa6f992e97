"""An ONNX graph under construction, over weights that lie in a file of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from convert.onnx_weights import Stored

Activations = Literal["float32", "float16"]
CONTRIB = "com.microsoft"  # operators that onnxruntime adds to the standard's
TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
}


class Graph:
    """Nodes and initializers, added in the order in which they run."""

    def __init__(self, tensors: Mapping[str, Stored], location: str, floats: Activations) -> None:
        self.floats = floats  # the type that activations are computed in
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self._tensors, self._location = tensors, location
        self._cast: set[str] = set()

    def add(
        self, kind: str, inputs: Sequence[str], out: str, domain: str = "", **attributes: Any
    ) -> str:
        """A node with one output; returns its name."""
        return self.add_many(kind, inputs, [out], domain, **attributes)[0]

    def add_many(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        domain: str = "",
        **attributes: Any,
    ) -> Sequence[str]:
        """A node with several outputs; one that nobody reads has no name."""
        name = next(filter(None, outputs))
        node = helper.make_node(kind, inputs, outputs, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return outputs

    def cast(self, name: str, out: str, to: str | None = None) -> str:
        return self.add("Cast", [name], out, to=TYPES[to or self.floats])

    def has(self, name: str) -> bool:
        """Whether the weight file holds a tensor."""
        return name in self._tensors

    def stored(self, name: str) -> str:
        """A tensor of the weight file as it is stored."""
        if name not in self.initializers:
            found = self._tensors[name]
            tensor = TensorProto(name=name, dims=found.shape, data_type=TYPES[found.dtype.name])
            tensor.data_location = TensorProto.EXTERNAL
            where = {"location": self._location, "offset": found.offset, "length": found.length}
            for key, value in where.items():
                tensor.external_data.add(key=key, value=str(value))
            self.initializers[name] = tensor
        return name

    def floating(self, name: str) -> str:
        """A tensor of the weight file in the type of the activations; onnxruntime casts at load."""
        if self._tensors[name].dtype.name == self.floats:
            return self.stored(name)
        out = f"{name}/{self.floats}"
        if out not in self._cast:
            self._cast.add(self.cast(self.stored(name), out))
        return out

    def constant(self, name: str, values: Any) -> str:
        """A small tensor inside the graph file."""
        self.initializers[name] = numpy_helper.from_array(np.asarray(values), name)
        return name
