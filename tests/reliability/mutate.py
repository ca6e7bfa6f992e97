"""Damage as files meet it: flipped bits, cut ends, absurd numbers, values of another type."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

NUMBERS = (0, 1, -1, 2, 3, 7, 255, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)
FLOATS = (0.0, -1.0, 1e-45, 1e38, float("nan"), float("inf"), float("-inf"))
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    *FLOATS,
    None,
    True,
    "",
    "x" * 5000,
    "../../outside",
    "/dev/zero",
    "\x1b]0;owned\x07\x9b31m",
    "\ud800",
    "{{ 1 / 0 }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    [],
    {},
    [[[[]]]],
    [0] * 1000,
    {"": None},
)
HEADER_BYTES = 4096  # where formats keep what they say of themselves

Mutator = Callable[[random.Random, bytes], bytes]


def flip(rng: random.Random, data: bytes) -> bytes:
    """Some bits, most of them in the header."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if found:
            found[_place(rng, len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def cut(rng: random.Random, data: bytes) -> bytes:
    """The end is missing, or a part of the middle."""
    begin = rng.randrange(len(data) + 1)
    if rng.random() < 0.7:
        return data[:begin]
    return data[:begin] + data[begin + rng.choice((1, 8, 512)) :]


def grow(rng: random.Random, data: bytes) -> bytes:
    """Bytes that belong to nothing."""
    begin = rng.choice((len(data), rng.randrange(len(data) + 1)))
    return data[:begin] + rng.randbytes(rng.choice((1, 4, 100, 4096))) + data[begin:]


def zero(rng: random.Random, data: bytes) -> bytes:
    """A hole, as a file system leaves it after a crash."""
    begin, size = _place(rng, len(data) or 1), rng.choice((1, 4, 16, 512, 4096))
    return data[:begin] + bytes(len(data[begin : begin + size])) + data[begin + size :]


def number(rng: random.Random, data: bytes) -> bytes:
    """An absurd number where a binary format may keep one."""
    raw = rng.choice(
        (
            struct.pack("<I", rng.choice(NUMBERS) & 0xFFFFFFFF),
            struct.pack("<Q", rng.choice(NUMBERS) & 0xFFFFFFFFFFFFFFFF),
            struct.pack("<f", rng.choice(FLOATS)),
        )
    )
    begin = _place(rng, len(data) or 1)
    return data[:begin] + raw + data[begin + len(raw) :]


def swap(rng: random.Random, data: bytes) -> bytes:
    """Two blocks change places."""
    size = rng.choice((1, 8, 64))
    a, b = sorted(_place(rng, len(data) or 1) for _ in range(2))
    if b < a + size:
        return data
    return (
        data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]
    )


RAW: tuple[Mutator, ...] = (flip, flip, cut, grow, zero, number, number, number, swap)


def raw(rng: random.Random, data: bytes) -> bytes:
    """Any damage to bytes."""
    return rng.choice(RAW)(rng, data)


def text(rng: random.Random, data: bytes) -> bytes:
    """A JSON document with one value changed, or damaged bytes."""
    if rng.random() < 0.2:
        return raw(rng, data)
    try:
        document = json.loads(data)
    except ValueError:
        return raw(rng, data)
    return json.dumps(change(rng, document)).encode("utf-8", "surrogatepass")


def lines(rng: random.Random, data: bytes) -> bytes:
    """A file of JSON lines with one of them changed, doubled, or damaged."""
    rows = data.splitlines(keepends=True)
    if not rows:
        return raw(rng, data)
    n = rng.randrange(len(rows))
    if rng.random() < 0.1:
        return b"".join([*rows, rows[n]])
    if rng.random() < 0.1:
        rows[n] = b"\xff\xfe\n"
    else:
        rows[n] = text(rng, rows[n].rstrip(b"\n")) + b"\n"
    return b"".join(rows)


def safetensors(rng: random.Random, data: bytes) -> bytes:
    """The header's JSON changed, its length right; or damaged bytes."""
    if rng.random() < 0.3:
        return raw(rng, data)
    size = struct.unpack("<Q", data[:8])[0]
    header = text(rng, data[8 : 8 + size])
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def gguf(rng: random.Random, data: bytes) -> bytes:
    """The value behind a key of the header changed; or damaged bytes."""
    keys = [at for at in range(24, min(len(data), HEADER_BYTES)) if data[at : at + 1] == b"."]
    if rng.random() < 0.5 or not keys:
        return raw(rng, data)
    at = rng.choice(keys)
    end = at + next((n for n, byte in enumerate(data[at : at + 80]) if byte < 32), 1)
    begin = end + rng.choice((0, 4, 4, 4, 8, 16))  # its type, its value, what follows
    found = struct.pack("<I", rng.choice(NUMBERS) & 0xFFFFFFFF)
    if rng.random() < 0.4:
        found = struct.pack("<f", rng.choice(FLOATS))
    return data[:begin] + found + data[begin + 4 :]


def change(rng: random.Random, document: Any) -> Any:
    """The document with a value somewhere replaced, removed or doubled."""
    if isinstance(document, dict) and document and rng.random() < 0.85:
        key = rng.choice(list(document))
        if rng.random() < 0.15:
            return {k: v for k, v in document.items() if k != key}
        return {k: change(rng, v) if k == key else v for k, v in document.items()}
    if isinstance(document, list) and document and rng.random() < 0.85:
        n = rng.randrange(len(document))
        if rng.random() < 0.1:
            return [*document, document[n]]
        return [change(rng, v) if k == n else v for k, v in enumerate(document)]
    return rng.choice(VALUES)


def _place(rng: random.Random, size: int) -> int:
    """A position, more often than not in the header."""
    return rng.randrange(min(size, HEADER_BYTES) if rng.random() < 0.7 else size)
