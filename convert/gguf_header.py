"""The header of a GGUF file, read alone: fast on files of any size, and strict about their ends."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = dict(
    zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)
)  # struct codes
STRING, ARRAY = 8, 9
SHORT = 16  # arrays up to this length are kept; of longer ones only the length
DAMAGE = (EOFError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError)
LIMIT = 1 << 31  # no name, array or header entry is larger
BLOCKS = {  # ggml type: weights and bytes of a block
    0: (1, 4),  # f32
    1: (1, 2),  # f16
    2: (32, 18),  # q4_0
    3: (32, 20),  # q4_1
    6: (32, 22),  # q5_0
    7: (32, 24),  # q5_1
    8: (32, 34),  # q8_0
    9: (32, 36),  # q8_1
    10: (256, 84),  # q2_k
    11: (256, 110),  # q3_k
    12: (256, 144),  # q4_k
    13: (256, 176),  # q5_k
    14: (256, 210),  # q6_k
    15: (256, 292),  # q8_k
    16: (256, 66),  # iq2_xxs
    17: (256, 74),  # iq2_xs
    18: (256, 98),  # iq3_xxs
    19: (256, 50),  # iq1_s
    20: (32, 18),  # iq4_nl
    21: (256, 110),  # iq3_s
    22: (256, 82),  # iq2_s
    23: (256, 136),  # iq4_xs
    24: (1, 1),  # i8
    25: (1, 2),  # i16
    26: (1, 4),  # i32
    27: (1, 8),  # i64
    28: (1, 8),  # f64
    29: (256, 56),  # iq1_m
    30: (1, 2),  # bf16
    34: (256, 54),  # tq1_0
    35: (256, 66),  # tq2_0
    39: (32, 17),  # mxfp4
    40: (64, 36),  # nvfp4
    41: (128, 18),  # q1_0
    42: (64, 18),  # q2_0
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a GGUF: what it is and where its bytes lie in the file."""

    name: str
    shape: tuple[int, ...]  # rows first, as in torch
    type: int
    offset: int
    size_bytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata and tensors of a GGUF. A long array is its length, as an int."""

    path: Path
    values: dict[str, Any]
    tensors: tuple[Entry, ...]

    def read_float32(self, tensor: Entry) -> npt.NDArray[np.float32]:
        """The values of a float32 tensor."""
        raw = np.fromfile(self.path, np.float32, tensor.elements, offset=tensor.offset)
        return raw.reshape(tensor.shape)


def read_header(path: Path) -> Header:
    """The header of a GGUF whose tensors all lie inside the file.

    Raises:
        Refusal: if the file is no GGUF, is one part of a split model, or was cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise Refusal(f"{path} is not a GGUF file")
        try:
            values, tensors, end = _parse(file)
        except DAMAGE as error:
            raise Refusal(f"{path} is cut short or damaged in its header") from error
    if values.get("split.count", 1) > 1:
        raise Refusal(f"{path} is one part of a split model; join it: llama-gguf-split --merge")
    need = max((t.offset + t.size_bytes for t in tensors), default=end)
    if need > size:
        raise Refusal(
            f"{path} is cut short: {size} bytes, its header names {need}; download it again"
        )
    return Header(path, values, tensors)


def _parse(file: BinaryIO) -> tuple[dict[str, Any], tuple[Entry, ...], int]:
    version, tensor_count, value_count = struct.unpack("<IQQ", _take(file, 20))
    if version not in VERSIONS or max(tensor_count, value_count) > LIMIT:
        raise EOFError
    values: dict[str, Any] = {}
    for _ in range(value_count):
        key = _string(file)
        values[key] = _value(file, _scalar(file, 4))
    found = [_tensor(file) for _ in range(tensor_count)]
    alignment = int(values.get("general.alignment", 32))
    base = -(-file.tell() // alignment) * alignment
    entries = (
        Entry(name, shape, kind, base + offset, _size(shape, kind))
        for name, shape, kind, offset in found
    )
    return values, tuple(entries), base


def _tensor(file: BinaryIO) -> tuple[str, tuple[int, ...], int, int]:
    name = _string(file)
    sides = [_scalar(file, 10) for _ in range(_scalar(file, 4))]
    return name, tuple(reversed(sides)), _scalar(file, 4), _scalar(file, 10)


def _size(shape: tuple[int, ...], kind: int) -> int:
    weights, size = BLOCKS[kind]
    return math.prod(shape) // weights * size


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return _string(file)
    if kind != ARRAY:
        return _scalar(file, kind)
    inner, length = _scalar(file, 4), _scalar(file, 10)
    if length <= SHORT:
        return [_value(file, inner) for _ in range(length)]
    if inner in SCALARS:
        _skip(file, length * struct.calcsize(SCALARS[inner]))
    elif inner == STRING:
        for _ in range(length):
            _skip(file, _scalar(file, 10))
    else:
        for _ in range(length):
            _value(file, inner)
    return length


def _skip(file: BinaryIO, count: int) -> None:
    if count > LIMIT:
        raise EOFError
    file.seek(count, 1)


def _string(file: BinaryIO) -> str:
    return _take(file, _scalar(file, 10)).decode("utf-8")


def _scalar(file: BinaryIO, kind: int) -> Any:
    form = "<" + SCALARS[kind]
    return struct.unpack(form, _take(file, struct.calcsize(form)))[0]


def _take(file: BinaryIO, count: int) -> bytes:
    data = file.read(count) if count < LIMIT else b""
    if len(data) != count:
        raise EOFError
    return data
