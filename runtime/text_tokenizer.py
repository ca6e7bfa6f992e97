"""Encoding and decoding, once for all backends: each gives its ids of a bare text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from runtime.valid_text import without_guard

GUARD = "\n"  # a byte token in SentencePiece vocabularies: it never merges with text


class TextTokenizer(ABC):
    """What `runtime.engine.Tokenizer` asks for, on top of the ids of a bare text."""

    bos: str
    _sentencepiece: bool
    _path: Path | str  # named in refusals

    @property
    @abstractmethod
    def pieces(self) -> Sequence[bytes]:
        """The text of every id; control tokens are empty."""

    @property
    @abstractmethod
    def _front(self) -> list[int]:
        """What stands before every text: a beginning-of-sequence token, or nothing."""

    @abstractmethod
    def _ids(self, text: str, *, special: bool) -> list[int]:
        """Ids of a text alone; names of control tokens are read where `special`."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        starts_itself = special and bool(self.bos) and text.startswith(self.bos)
        return ([] if starts_itself else self._front) + self._ids(text, special=special)

    def encode_chat(self, text: str) -> list[int]:
        return self._ids(text, special=True)

    def encode_more(self, text: str) -> list[int]:
        if not self._sentencepiece:
            return self._ids(text, special=True)
        return self._continued(text, special=True)

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", "replace")

    def _continued(self, text: str, *, special: bool = False) -> list[int]:
        """Ids without the space that SentencePiece puts before the first text of a sequence."""
        guard, whole = self._ids(GUARD, special=False), self._ids(GUARD + text, special=special)
        return without_guard(self._path, whole, guard)
