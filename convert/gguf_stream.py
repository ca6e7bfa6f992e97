"""The front of a GGUF file as values: numbers, texts, arrays. No length in it is believed."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

SCALARS = dict(
    zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)
)  # struct codes
STRING, ARRAY = 8, 9
UINT32, UINT64 = 4, 10
KEPT_TEXTS = 16  # arrays up to these lengths are kept; of longer ones only the length
KEPT_NUMBERS = 512  # one for every layer
LONGEST_ARRAY = 1 << 24
LONGEST_READ = 1 << 27  # bytes of one text or array
CHUNK_BYTES = 1 << 20
U64 = struct.Struct("<Q")


class Damage(Exception):  # never leaves the reader
    """What is read is no header, or not a whole one."""


class Length(int):
    """The length of an array that was too long to keep; no number that the file states."""


class Stream:
    """Reads a file from where it stands, some of it ahead."""

    def __init__(self, file: BinaryIO, left_bytes: int) -> None:
        self._file, self._left = file, left_bytes  # not read yet
        self._data, self._at, self._dropped = b"", 0, file.tell()

    @property
    def place(self) -> int:
        """The offset in the file of what is read next."""
        return self._dropped + self._at

    @property
    def left_bytes(self) -> int:
        """How much of the file is still to come."""
        return self._left + len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if self._at + count > len(self._data):
            self._read(count)
        self._at += count
        return self._data[self._at - count : self._at]

    def scalar(self, kind: int) -> Any:
        """The next number of a GGUF value type."""
        if kind not in SCALARS:
            raise Damage
        form = "<" + SCALARS[kind]
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self) -> str:
        """The next text; a byte that is no UTF-8, which llama.cpp passes over, is U+FFFD."""
        return self.take(U64.unpack(self.take(8))[0]).decode("utf-8", "replace")

    def texts(self, count: int) -> list[bytes]:
        """The next texts, not decoded; quick, as a vocabulary has 150,000."""
        found: list[bytes] = []
        data, at, size = self._data, self._at, len(self._data)
        while len(found) < count:
            if at + 8 > size:
                data, at, size = self._refill(at, 8)
            end = at + 8 + U64.unpack_from(data, at)[0]
            if end > size:
                length = end - at
                data, at, size = self._refill(at, length)
                end = length
            found.append(data[at + 8 : end])
            at = end
        self._at = at
        return found

    def numbers(self, kind: int, count: int) -> npt.NDArray[Any]:
        """The next numbers of a GGUF value type."""
        if kind not in SCALARS:
            raise Damage
        dtype = np.dtype(SCALARS[kind]).newbyteorder("<")
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def _refill(self, at: int, count: int) -> tuple[bytes, int, int]:
        """That many bytes from `at` on, or more: the data, where they begin, where it ends."""
        self._at = at
        self._read(count)
        return self._data, 0, len(self._data)

    def _read(self, count: int) -> None:
        """Have that many bytes at hand, or more."""
        if count > min(self.left_bytes, LONGEST_READ):
            raise Damage
        self._dropped += self._at
        kept = self._data[self._at :]
        more = min(max(count - len(kept), CHUNK_BYTES), self._left)
        read = self._file.read(more)
        if len(read) != more:  # cut while it is read
            raise Damage
        self._data, self._at, self._left = kept + read, 0, self._left - more


def array_header(stream: Stream) -> tuple[int, int]:
    """Value type and length of the array that follows, if it can be one."""
    kind, length = stream.scalar(UINT32), stream.scalar(UINT64)
    if length > min(LONGEST_ARRAY, stream.left_bytes):
        raise Damage
    return kind, length
