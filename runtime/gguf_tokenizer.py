"""llama.cpp's tokenizer behind the `Tokenizer` protocol."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import llama_cpp.llama_cpp as llama

from convert.refusal import Refusal
from runtime.valid_text import utf8, without_guard

NEWLINE_ID_GUARD = "\n"  # a byte token in SentencePiece vocabularies: never merges with text


class GgufTokenizer:
    """Text to ids with the vocabulary inside a GGUF."""

    def __init__(self, model: Any) -> None:
        self._vocab = llama.llama_model_get_vocab(model)
        self.size: int = llama.llama_vocab_n_tokens(self._vocab)
        self.eos_ids = frozenset(
            i for i in range(self.size) if llama.llama_vocab_is_eog(self._vocab, i)
        )
        self._sentencepiece = llama.llama_vocab_type(self._vocab) == llama.LLAMA_VOCAB_TYPE_SPM
        template = llama.llama_model_chat_template(model, None)
        self.chat_template: str | None = (
            template.decode("utf-8", "surrogateescape") if template else None  # refused when used
        )

    @cached_property
    def pieces(self) -> list[bytes]:
        return [self._piece(i) for i in range(self.size)]

    @property
    def bos(self) -> str:
        return self._text(llama.llama_vocab_bos(self._vocab))

    @property
    def eos(self) -> str:
        return self._text(llama.llama_vocab_eos(self._vocab))

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        starts_itself = special and bool(self.bos) and text.startswith(self.bos)
        return self._tokenize(text, add_special=not starts_itself, special=special)

    def encode_more(self, text: str) -> list[int]:
        if not self._sentencepiece:
            return self._tokenize(text, add_special=False, special=True)
        # SentencePiece puts a space before the first text: give it something else to begin with.
        guard = self._tokenize(NEWLINE_ID_GUARD, add_special=False, special=False)
        whole = self._tokenize(NEWLINE_ID_GUARD + text, add_special=False, special=True)
        return without_guard("the model", whole, guard)

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", "replace")

    def _tokenize(self, text: str, *, add_special: bool, special: bool) -> list[int]:
        raw = utf8(text)
        room = len(raw) + 8
        ids = (ctypes.c_int32 * room)()
        count = llama.llama_tokenize(self._vocab, raw, len(raw), ids, room, add_special, special)
        if count < 0:
            raise Refusal(f"cannot tokenize a text of {len(raw)} bytes")
        return list(ids[:count])

    def _text(self, i: int) -> str:
        """A control token as chat templates write it; empty where the model has none."""
        text: bytes = llama.llama_vocab_get_text(self._vocab, i) if i >= 0 else b""
        return text.decode("utf-8", "replace")

    def _piece(self, i: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        size = llama.llama_token_to_piece(self._vocab, i, buffer, 256, 0, False)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = llama.llama_token_to_piece(self._vocab, i, buffer, -size, 0, False)
        return buffer.raw[:size]
