"""A Hugging Face tokenizer behind the `Tokenizer` protocol."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from convert.hf_files import HERE, default_template, opening
from runtime.pieces import NEWLINE_BYTE, byte_level_bytes, sentencepiece_bytes
from runtime.text_tokenizer import TextTokenizer
from runtime.valid_text import in_front, known, utf8


class HfTokenizer(TextTokenizer):
    """Text to ids with the tokenizer files of a checkpoint folder."""

    _path: Path

    def __init__(self, folder: Path, eos_ids: Sequence[int], size: int) -> None:
        self._path = folder
        with opening(folder):
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, **HERE)
        self._sentencepiece = NEWLINE_BYTE in self._tokenizer.get_vocab()
        self.size = size
        own = self._tokenizer.eos_token_id
        self.eos_ids = frozenset(eos_ids if own is None else [*eos_ids, own])
        self.chat_template = default_template(folder, self._tokenizer.chat_template)
        self.bos: str = self._tokenizer.bos_token or ""
        self.eos: str = self._tokenizer.eos_token or ""

    @cached_property
    def pieces(self) -> list[bytes]:
        with opening(self._path):
            added = self._tokenizer.added_tokens_decoder
            control = {i for i, token in added.items() if token.special}
            control.update(self._tokenizer.all_special_ids)
            known = self._tokenizer.convert_ids_to_tokens(list(range(len(self._tokenizer))))
        read = sentencepiece_bytes if self._sentencepiece else byte_level_bytes
        pieces = [b"" if i in control else read(piece or "") for i, piece in enumerate(known)]
        return pieces + [b""] * (self.size - len(pieces))

    @cached_property
    def _front(self) -> list[int]:
        return in_front(self._ids("a", special=False, framed=True), self._ids("a", special=False))

    def _ids(self, text: str, *, special: bool, framed: bool = False) -> list[int]:
        utf8(text)  # the library takes anything else for a wrong type
        with opening(self._path):
            ids: list[int] = self._tokenizer.encode(
                text,
                add_special_tokens=framed,
                split_special_tokens=not special,
                verbose=False,  # a text longer than the model's context may be cut up later
            )
        return known(self._path, ids, self.size)
