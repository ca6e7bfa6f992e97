"""A `tokenizer.json` behind the `Tokenizer` protocol, without loading transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from convert.artifact import Artifact
from convert.hf_files import opening
from convert.refusal import Refusal, reading
from runtime.pieces import NEWLINE_BYTE, byte_level_bytes, sentencepiece_bytes
from runtime.text_tokenizer import TextTokenizer
from runtime.valid_text import in_front, known, utf8


class JsonTokenizer(TextTokenizer):
    """Text to ids with the file that `convert` wrote beside an ONNX model."""

    _path: Path

    def __init__(
        self,
        path: Path,
        size: int,
        eos_ids: Sequence[int],
        *,
        bos: str = "",
        eos: str = "",
        chat_template: str | None = None,
    ) -> None:
        self._path = path
        with opening(path):
            self._backend: Any = Backend.from_file(str(path))
        self._sentencepiece = self._backend.token_to_id(NEWLINE_BYTE) is not None
        self.size, self.bos, self.eos, self.chat_template = size, bos, eos, chat_template
        self.eos_ids = frozenset(eos_ids)

    @cached_property
    def pieces(self) -> list[bytes]:
        added = self._backend.get_added_tokens_decoder()
        control = {i for i, token in added.items() if token.special}
        read = sentencepiece_bytes if self._sentencepiece else byte_level_bytes
        known = [self._backend.id_to_token(i) or "" for i in range(self.size)]
        return [b"" if i in control else read(piece) for i, piece in enumerate(known)]

    @cached_property
    def _front(self) -> list[int]:
        return in_front(self._ids("a", special=False, framed=True), self._ids("a", special=False))

    def _ids(self, text: str, *, special: bool, framed: bool = False) -> list[int]:
        utf8(text)  # the library takes anything else for a wrong type
        self._backend.encode_special_tokens = not special
        with opening(self._path):  # some faults of a file show when it is used
            ids = list(self._backend.encode(text, add_special_tokens=framed).ids)
        return known(self._path, ids, self.size)


def open_tokenizer(artifact: Artifact, facts: dict[str, str]) -> JsonTokenizer:
    """The tokenizer that stands beside an ONNX model; `facts` are the model's metadata."""
    if artifact.tokenizer is None:
        raise Refusal(f"{artifact.path} names no tokenizer file; convert the model again")
    with reading(artifact.path):  # JSON inside the model's own metadata
        eos_ids = [int(i) for i in json.loads(facts.get("starbase.eos_ids", "[]"))]
    return JsonTokenizer(
        artifact.path.with_name(artifact.tokenizer),
        artifact.shape.vocab,
        eos_ids,
        bos=facts.get("starbase.bos", ""),
        eos=facts.get("starbase.eos", ""),  # files of earlier versions lack it
        chat_template=facts.get("starbase.chat_template"),
    )
