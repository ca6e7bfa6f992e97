"""Symbols that the author of a SentencePiece model named."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentencepiece import SentencePieceTrainer

from convert.refusal import Refusal
from convert.sentencepiece_types import user_defined
from convert.tokenizer_files import open_pieces


def test_symbols_are_told_from_pieces(tmp_path: Path, questions: list[str]) -> None:
    SentencePieceTrainer.train(
        sentence_iterator=iter(questions[:100]),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=200,
        user_defined_symbols=["[INST]", "[/INST]"],
        minloglevel=2,
    )
    found = user_defined(tmp_path / "tokenizer.model")
    pieces = open_pieces(tmp_path)
    assert {pieces.id_to_piece(i) for i in found} == {"[INST]", "[/INST]"}


@pytest.mark.parametrize("content", [b"\xff", b"\x0b\x01", b"\x08\x01"])
def test_what_is_no_protobuf_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(Refusal, match=r"tokenizer.model is no SentencePiece model"):
        user_defined(tmp_path / "tokenizer.model")
