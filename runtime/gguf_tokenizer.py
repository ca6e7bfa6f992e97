"""llama.cpp's tokenizer behind the `Tokenizer` protocol."""

from __future__ import annotations

import ctypes
import re
from functools import cached_property
from typing import Any

import llama_cpp.llama_cpp as llama

from convert.gguf_vocabulary import END_IDS, PREFIX_ONCE
from convert.refusal import Refusal
from convert.typed import typed
from runtime.text_tokenizer import GUARD, TextTokenizer
from runtime.valid_text import utf8, without_guard

MISTRAL_TURN = "[INST]"  # a token of its own since Mistral's third vocabulary
NAMED = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_USER_DEFINED
META_BYTES = 1 << 12


class GgufTokenizer(TextTokenizer):
    """Text to ids with the vocabulary inside a GGUF."""

    def __init__(self, model: Any) -> None:
        self._path = "the model"
        self._vocab = llama.llama_model_get_vocab(model)
        self.bos = self._text(llama.llama_vocab_bos(self._vocab))
        self.size: int = llama.llama_vocab_n_tokens(self._vocab)
        self.eos_ids = self._end_ids(model)
        self._sentencepiece = llama.llama_vocab_type(self._vocab) == llama.LLAMA_VOCAB_TYPE_SPM
        self._prefix_once = self._sentencepiece and (
            _meta(model, PREFIX_ONCE) == "true" or self._is_named(MISTRAL_TURN)
        )
        template = llama.llama_model_chat_template(model, None)
        self.chat_template: str | None = (
            template.decode("utf-8", "surrogateescape") if template else None  # refused when used
        )

    @cached_property
    def pieces(self) -> list[bytes]:
        return [self._piece(i) for i in range(self.size)]

    @property
    def eos(self) -> str:
        return self._text(llama.llama_vocab_eos(self._vocab))

    def encode_more(self, text: str) -> list[int]:
        return self._parts(text, self._named) if self._prefix_once else super().encode_more(text)

    @cached_property
    def _front(self) -> list[int]:
        adds = llama.llama_vocab_get_add_bos(self._vocab)
        return [llama.llama_vocab_bos(self._vocab)] if adds else []

    def _ids(self, text: str, *, special: bool) -> list[int]:
        if not self._prefix_once:
            return self._tokenize(text, special=special)
        pattern = self._named if special else self._symbols
        if text.startswith(" ") or pattern.match(text):
            return self._parts(text, pattern)
        first = pattern.split(text, maxsplit=1)[0]
        return self._tokenize(first, special=False) + self._parts(text[len(first) :], pattern)

    def _parts(self, text: str, named: re.Pattern[str]) -> list[int]:
        """Ids of a text in which some tokens stand by name, without a space before anything."""
        ids = []
        for part in filter(None, named.split(text)):
            whole = named.fullmatch(part) is not None
            ids += self._tokenize(part, special=True) if whole else self._continued(part)
        return ids

    def _continued(self, text: str, *, special: bool = False) -> list[int]:
        guard = self._tokenize(GUARD, special=False)
        whole = self._tokenize(GUARD + text, special=special)
        return without_guard(self._path, whole, guard)

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        raw = utf8(text)
        room = len(raw) + 8
        ids = (ctypes.c_int32 * room)()
        count = llama.llama_tokenize(self._vocab, raw, len(raw), ids, room, False, special)
        if count < 0:
            raise Refusal(f"cannot tokenize a text of {len(raw)} bytes")
        return list(ids[:count])

    @cached_property
    def _named(self) -> re.Pattern[str]:
        return self._names(NAMED)

    @cached_property
    def _symbols(self) -> re.Pattern[str]:
        """Tokens that a text names even where control tokens are text."""
        return self._names(llama.LLAMA_TOKEN_ATTR_USER_DEFINED)

    def _names(self, kinds: int) -> re.Pattern[str]:
        names = {
            self._text(i)
            for i in range(self.size)
            if llama.llama_vocab_get_attr(self._vocab, i) & kinds
        }
        longest = sorted(filter(None, names), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest))})" if longest else "(?!)")

    def _is_named(self, text: str) -> bool:
        found = self._tokenize(text, special=True)
        return len(found) == 1 and bool(llama.llama_vocab_get_attr(self._vocab, found[0]) & NAMED)

    def _end_ids(self, model: Any) -> frozenset[int]:
        """The ends that a conversion of ours stated, else those that llama.cpp found itself."""
        if stated := _meta(model, END_IDS):
            ids = typed(list[int], stated.encode(), f"{END_IDS} is no list of tokens")
            return frozenset(i for i in ids if 0 <= i < self.size)
        known = range(self.size)
        return frozenset(i for i in known if llama.llama_vocab_is_eog(self._vocab, i))

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


def _meta(model: Any, key: str) -> str:
    """A value in the header of a GGUF, as text; empty where it has none."""
    buffer = ctypes.create_string_buffer(META_BYTES)
    size = llama.llama_model_meta_val_str(model, key.encode(), buffer, META_BYTES)
    return buffer.value.decode("utf-8", "replace") if size >= 0 else ""
