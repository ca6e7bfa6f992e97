"""The bytes that entries of a vocabulary stand for."""

from __future__ import annotations

import re

BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")
NEWLINE_BYTE = "<0x0A>"  # in every SentencePiece vocabulary with byte fallback


def sentencepiece_bytes(piece: str) -> bytes:
    """A SentencePiece entry: `<0x0A>` is a byte, the lower block a space."""
    if found := BYTE.fullmatch(piece):
        return bytes([int(found[1], 16)])
    return piece.replace("\u2581", " ").encode()


def byte_level_bytes(piece: str) -> bytes:
    """An entry of a byte-level vocabulary: one character a byte."""
    return b"".join(
        bytes([BYTE_OF_CHARACTER[c]]) if c in BYTE_OF_CHARACTER else c.encode() for c in piece
    )


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's map: printable Latin-1 stands for itself, other bytes for characters from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


BYTE_OF_CHARACTER = _byte_alphabet()
