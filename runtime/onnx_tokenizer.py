"""A `tokenizer.json` behind the `Tokenizer` protocol, without loading transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from convert.artifact import Artifact
from convert.refusal import Refusal
from runtime.pieces import NEWLINE_BYTE, byte_level_bytes, sentencepiece_bytes


class JsonTokenizer:
    """Text to ids with the file that `convert` wrote beside an ONNX model."""

    def __init__(
        self, path: Path, size: int, eos_ids: Sequence[int], bos: str, chat_template: str | None
    ) -> None:
        try:
            self._backend: Any = Backend.from_file(str(path))
        except Exception as error:  # tokenizers raises the plain class
            raise Refusal(f"{path} is not a tokenizer: {error}") from error
        self._sentencepiece = self._backend.token_to_id(NEWLINE_BYTE) is not None
        self.size, self.bos, self.chat_template = size, bos, chat_template
        self.eos_ids = frozenset(eos_ids)

    @cached_property
    def pieces(self) -> list[bytes]:
        added = self._backend.get_added_tokens_decoder()
        control = {i for i, token in added.items() if token.special}
        read = sentencepiece_bytes if self._sentencepiece else byte_level_bytes
        known = [self._backend.id_to_token(i) or "" for i in range(self.size)]
        return [b"" if i in control else read(piece) for i, piece in enumerate(known)]

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        starts_itself = special and bool(self.bos) and text.startswith(self.bos)
        return self._ids(text, add_special=not starts_itself, special=special)

    def encode_more(self, text: str) -> list[int]:
        if not self._sentencepiece:
            return self._ids(text, add_special=False, special=True)
        # SentencePiece puts a space before the first text: give it something else to begin with.
        guard = self._ids("\n", add_special=False, special=False)
        whole = self._ids("\n" + text, add_special=False, special=True)
        assert whole[: len(guard)] == guard
        return whole[len(guard) :]

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", "replace")

    def _ids(self, text: str, *, add_special: bool, special: bool) -> list[int]:
        self._backend.encode_special_tokens = not special
        return list(self._backend.encode(text, add_special_tokens=add_special).ids)


def open_tokenizer(artifact: Artifact, facts: dict[str, str]) -> JsonTokenizer:
    """The tokenizer that stands beside an ONNX model; `facts` are the model's metadata."""
    if artifact.tokenizer is None:
        raise Refusal(f"{artifact.path} names no tokenizer file; convert the model again")
    return JsonTokenizer(
        artifact.path.with_name(artifact.tokenizer),
        artifact.shape.vocab,
        json.loads(facts.get("starbase.eos_ids", "[]")),
        facts.get("starbase.bos", ""),
        facts.get("starbase.chat_template"),
    )
