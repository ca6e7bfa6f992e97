"""The header of a GGUF file, read alone: fast on files of any size, and strict about their ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.block_sizes import BLOCKS
from convert.files import regular
from convert.gguf_split import part_paths
from convert.gguf_stream import (
    ARRAY,
    KEPT_NUMBERS,
    KEPT_TEXTS,
    STRING,
    UINT32,
    UINT64,
    Damage,
    Length,
    Stream,
    array_header,
)
from convert.gguf_vocabulary import check_scores, check_tokens
from convert.refusal import Refusal

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_KEYS, MOST_TENSORS, MOST_SIDES = 1 << 14, 1 << 17, 4
LEAST_BYTES = 24  # of a tensor in the header; a key takes 13
ALIGNMENT, WIDEST = 32, 1 << 16  # llama.cpp ends on a smaller one
CHECKS = {"tokenizer.ggml.tokens": check_tokens, "tokenizer.ggml.scores": check_scores}


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a GGUF: what it is and where its bytes lie in the file."""

    name: str
    shape: tuple[int, ...]  # rows first, as in torch
    type: int
    offset: int
    size_bytes: int
    path: Path

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata and tensors of a GGUF. A long array is its length, as an int."""

    path: Path  # the first file of a model in several
    values: dict[str, Any]
    tensors: tuple[Entry, ...]
    size_bytes: int

    def read_float32(self, tensor: Entry) -> npt.NDArray[np.float32]:
        """The values of a float32 tensor."""
        raw = np.fromfile(tensor.path, np.float32, tensor.elements, offset=tensor.offset)
        return raw.reshape(tensor.shape)


def read_header(path: Path) -> Header:
    """The header of a GGUF whose tensors all lie inside its file, or its files.

    Raises:
        FileNotFoundError: if a file of several is missing.
        Refusal: if a file is no GGUF, was cut short, is another than the first of several, or holds
            a vocabulary that llama.cpp would end on.
    """
    first = _read_file(path)
    paths = part_paths(path, first.values)
    if len(paths) == 1:
        return first
    files = [first, *map(_read_file, paths[1:])]
    tensors = tuple(entry for file in files for entry in file.tensors)
    if len({entry.name for entry in tensors}) < len(tensors):
        raise Refusal(f"{path}: two of its files hold a tensor of one name; download them again")
    return Header(path, first.values, tensors, sum(file.size_bytes for file in files))


def _read_file(path: Path) -> Header:
    size = regular(path).stat().st_size
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise Refusal(f"{path} is not a GGUF file")
        try:
            values, tensors = _parse(path, Stream(file, size - len(MAGIC)))
        except Damage as error:
            raise Refusal(f"{path} is cut short or damaged in its header") from error
    need = max((t.offset + t.size_bytes for t in tensors), default=0)
    if need > size:
        raise Refusal(
            f"{path} is cut short: {size} bytes, its header names {need}; download it again"
        )
    return Header(path, values, tensors, size)


def _parse(path: Path, stream: Stream) -> tuple[dict[str, Any], tuple[Entry, ...]]:
    version = stream.scalar(UINT32)
    if version.to_bytes(4, "big") in [known.to_bytes(4, "little") for known in VERSIONS]:
        raise Refusal(f"{path} is big-endian; turn it: gguf-convert-endian {path.name} little")
    tensor_count = stream.scalar(UINT64)
    value_count = stream.scalar(UINT64)
    room = stream.left_bytes // LEAST_BYTES
    if version not in VERSIONS or value_count > MOST_KEYS:
        raise Damage
    if tensor_count > min(MOST_TENSORS, room):
        raise Damage
    values: dict[str, Any] = {}
    for _ in range(value_count):
        key = stream.text()
        if not key or key in values:
            raise Damage
        values[key] = _value(path, key, stream)
    alignment = _alignment(path, values)
    found = {}
    for _ in range(tensor_count):
        name, *rest = _tensor(stream)
        if not name or name in found:
            raise Damage
        found[name] = rest
    base = -(-stream.place // alignment) * alignment
    return values, tuple(_entries(path, found, base, alignment))


def _entries(path: Path, found: dict[str, list[Any]], base: int, alignment: int) -> Iterator[Entry]:
    """The tensors, each where the one before it ends, as llama.cpp wants them."""
    expected = 0
    for name, (shape, kind, offset) in found.items():
        if kind not in BLOCKS:
            raise Refusal(f"{path} holds tensor {name} of unknown type {kind}; convert it again")
        weights, size = BLOCKS[kind]
        if min(shape, default=0) < 1 or shape[-1] % weights or offset != expected:
            raise Refusal(
                f"{path} gives tensor {name} shape {list(shape)} of type {kind} at {offset}, "
                f"expected rows of a multiple of {weights} at {expected}; download it again"
            )
        size_bytes = math.prod(shape) // weights * size
        expected = -(-(offset + size_bytes) // alignment) * alignment
        yield Entry(name, shape, kind, base + offset, size_bytes, path)


def _tensor(stream: Stream) -> tuple[str, tuple[int, ...], int, int]:
    name, count = stream.text(), stream.scalar(UINT32)
    if count > MOST_SIDES:
        raise Damage
    sides = [stream.scalar(UINT64) for _ in range(count)]
    return name, tuple(reversed(sides)), stream.scalar(UINT32), stream.scalar(UINT64)


def _alignment(path: Path, values: dict[str, Any]) -> int:
    found = values.get("general.alignment", ALIGNMENT)
    if type(found) is not int or not ALIGNMENT <= found <= WIDEST or found & (found - 1):
        raise Refusal(
            f"{path} gives general.alignment {found!r}; choose a power of two from {ALIGNMENT} to "
            f"{WIDEST}"
        )
    return found


def _value(path: Path, key: str, stream: Stream) -> Any:
    kind = stream.scalar(UINT32)
    if kind == STRING:
        return stream.text()
    if kind != ARRAY:
        return stream.scalar(kind)
    inner, length = array_header(stream)
    found = stream.texts(length) if inner == STRING else stream.numbers(inner, length)
    if key in CHECKS:
        CHECKS[key](path, found)
    if isinstance(found, list):
        short = [text.decode("utf-8", "replace") for text in found[:KEPT_TEXTS]]
    else:
        short = found[:KEPT_NUMBERS].tolist()
    return short if len(short) == length else Length(length)
