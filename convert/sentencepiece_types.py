"""The kinds of the pieces in a SentencePiece model, which its own library tells in part only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from convert.refusal import Refusal

PIECES_FIELD, KIND_FIELD = 1, 3  # of ModelProto, and of each piece in it
USER_DEFINED = 4  # ModelProto.SentencePiece.Type; 1, normal, where a piece names none
BITS, SIZES = 7, {1: 8, 5: 4}  # of a varint's byte; bytes of the wire types of a fixed size


def user_defined(path: Path) -> set[int]:
    """Ids of the symbols that a model's author named, which are cut out of a text before all else.

    Raises:
        Refusal: if the file is no protobuf.
    """
    content = path.read_bytes()
    try:
        pieces = [value for number, value in _fields(content) if number == PIECES_FIELD]
        return {i for i, piece in enumerate(pieces) if _kind(piece) == USER_DEFINED}
    except (IndexError, KeyError, TypeError) as error:
        raise Refusal(f"{path} is no SentencePiece model") from error


def _kind(piece: bytes | int) -> bytes | int:
    if isinstance(piece, int):
        raise TypeError(piece)
    return dict(_fields(piece)).get(KIND_FIELD, 1)


def _fields(content: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of every field of a protobuf message."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(content, place)
            yield number, value
            continue
        size, place = _varint(content, place) if wire == 2 else (SIZES[wire], place)
        yield number, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and the place behind it."""
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + BITS
        if byte < 0x80:
            return value, place
