"""A GGUF of a published shape with random weights: as large and as slow as the real one.

    python tests/gpu/random_model.py mistral-7b q4_k_m policy.gguf --like POLICY.gguf

Tokenizer, prompt and protocols are those of another GGUF, its vocabulary filled up with pieces that
are never drawn on purpose. Weights are a few random rows over and over, so that a 7B is written in
seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from convert.artifact import Shape
from convert.block_sizes import BLOCKS
from convert.ggml_rows import quantized
from convert.levels import parse_level
from convert.mixes import F32
from convert.to_gguf import add_shape
from profiles.plan.model_tensors import KNOWN, ModelTensors, of_shape

REHEARSAL = "rehearsal"
SHAPES = {**KNOWN, REHEARSAL: (Shape(4, 512, 8, 2, 64, 1536, 4096, 4096), "")}
ROWS = 256  # that are drawn; a matrix repeats them
SCALE = 0.02  # of a weight, as models are initialized
COPIED = ("tokenizer.", "starbase.")  # beginnings of keys
UNUSED = 5  # the kind of a piece that stands for nothing
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Rows:
    """Packed random rows by type and length."""

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._packed: dict[tuple[int, int], Bytes] = {}

    def matrix(self, kind: int, rows: int, columns: int) -> Bytes:
        """(rows, bytes of a row)."""
        if (kind, columns) not in self._packed:
            wide = SCALE * self._draw.standard_normal((ROWS, columns), np.float32)
            self._packed[kind, columns] = quantized(kind, wide).view(np.uint8).reshape(ROWS, -1)
        return np.resize(self._packed[kind, columns], (rows, self._row_bytes(kind, columns)))

    @staticmethod
    def _row_bytes(kind: int, columns: int) -> int:
        weights, size = BLOCKS[kind]
        return columns // weights * size


def write(path: Path, shape: str, level: str, like: Path, seed: int = 0) -> None:
    """Write a random model of a shape and a level that is asked as another one is."""
    model = of_shape(shape, *SHAPES[shape], "random")
    types, rows = model.types_at(level), Rows(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(parse_level(level).ftype)
    _keys(writer, model, like)
    for tensor in model.tensors:
        kind = gguf.GGMLQuantizationType(types[tensor.name])
        weights, size = BLOCKS[types[tensor.name]]
        packed = (*tensor.sides[:-1], tensor.sides[-1] // weights * size)
        nbytes = int(np.prod(packed))
        writer.add_tensor_info(tensor.name, packed, np.dtype(np.uint8), nbytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in model.tensors:
        if len(tensor.sides) == 1:  # norms
            assert types[tensor.name] == F32
            writer.write_tensor_data(np.ones(tensor.sides, np.float32))
        else:
            writer.write_tensor_data(rows.matrix(types[tensor.name], *tensor.sides))
    writer.close()


def _keys(writer: gguf.GGUFWriter, model: ModelTensors, like: Path) -> None:
    add_shape(writer, model.shape, 1e-5)
    for name, field in gguf.GGUFReader(like).fields.items():
        if name.startswith(COPIED):
            value = _filled(name, field.contents(), model.shape.vocab)
            writer.add_key_value(name, value, field.types[0], field.types[-1])


def _filled(name: str, value: Any, vocab: int) -> Any:
    """A list of the vocabulary, with what a larger one has more."""
    key = name.removeprefix("tokenizer.ggml.")
    more = {"tokens": "<unused%d>", "scores": -1e4, "token_type": UNUSED}
    if key not in more:
        return value
    added = range(len(value), vocab)
    return [*value, *(more[key] % n if key == "tokens" else more[key] for n in added)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("level")
    parser.add_argument("path", type=Path)
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.path, options.shape, options.level, options.like, options.seed)


if __name__ == "__main__":
    main()
