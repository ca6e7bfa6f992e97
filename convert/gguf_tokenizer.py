"""A checkpoint's tokenizer as the metadata that llama.cpp reads."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from gguf import TokenType

UNUSED_SCORE = -10000.0
ADDED_SCORE = -1000.0


@dataclass(slots=True)
class Vocabulary:
    """Texts, scores and types of all ids; a placeholder until an id is set."""

    tokens: list[bytes]
    scores: list[float]
    types: list[int]

    @staticmethod
    def blank(size: int) -> Vocabulary:
        pads = [f"[PAD{i}]".encode() for i in range(size)]
        return Vocabulary(pads, [UNUSED_SCORE] * size, [int(TokenType.UNUSED)] * size)

    def set(self, i: int, token: str, score: float, kind: TokenType) -> None:
        """Define id `i`; ids beyond the embedding matrix do not exist for the model."""
        if i < len(self.tokens):
            self.tokens[i], self.scores[i] = token.encode(), score
            self.types[i] = int(kind)


def add_tokenizer(writer: Any, folder: Path, vocab_size: int) -> None:
    """Write the tokenizer of a checkpoint folder into a GGUF.

    Raises:
        ValueError: if llama.cpp has no equivalent, or the vocabulary exceeds the embeddings.
    """
    if (folder / "tokenizer.model").exists():
        _add_sentencepiece(writer, folder, vocab_size)
    else:
        _add_tokenizer_json(writer, folder, vocab_size)


def _add_sentencepiece(writer: Any, folder: Path, vocab_size: int) -> None:
    from sentencepiece import SentencePieceProcessor

    path = folder / "tokenizer.model"
    try:
        pieces = SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise ValueError(f"{path} is not a SentencePiece model: {error}") from error
    _check_size(path, pieces.vocab_size(), vocab_size)
    vocabulary = Vocabulary.blank(vocab_size)
    for i in range(pieces.vocab_size()):
        kind = (
            TokenType.UNKNOWN
            if pieces.is_unknown(i)
            else TokenType.CONTROL
            if pieces.is_control(i)
            else TokenType.UNUSED
            if pieces.is_unused(i)
            else TokenType.BYTE
            if pieces.is_byte(i)
            else TokenType.NORMAL
        )
        vocabulary.set(i, pieces.id_to_piece(i), pieces.get_score(i), kind)
    _add_added_tokens(vocabulary, folder)
    _write(writer, folder, vocabulary, model="llama", pre="default", merges=False)
    prefix = _read_json(folder / "tokenizer_config.json").get("add_prefix_space")
    if prefix is not None:
        writer.add_add_space_prefix(prefix)


def _add_added_tokens(vocabulary: Vocabulary, folder: Path) -> None:
    """Tokens that were added around a SentencePiece model: they win over its pieces."""
    for token, i in _read_json(folder / "added_tokens.json").items():
        vocabulary.set(i, token, ADDED_SCORE, TokenType.USER_DEFINED)
    decoder = _read_json(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
    for key, entry in decoder.items():
        special = entry.get("special", False)
        token = entry["content"] if special else entry["content"].replace("\u2581", " ")
        kind = TokenType.CONTROL if special else TokenType.USER_DEFINED
        i = int(key)
        if i < len(vocabulary.types) and vocabulary.types[i] == TokenType.UNKNOWN:
            continue  # <unk> stays what it is
        vocabulary.set(i, token, ADDED_SCORE, kind)


def _add_tokenizer_json(writer: Any, folder: Path, vocab_size: int) -> None:
    path = folder / "tokenizer.json"
    document = _read_json(path)
    model = document.get("model") or {}
    if model.get("type") != "BPE":
        raise ValueError(f"{path} holds a {model.get('type')} model; only BPE can go into a GGUF")
    table: dict[str, int] = model["vocab"]
    _check_size(path, max(table.values()) + 1, vocab_size)
    if "<0x0A>" in table:
        raise ValueError(f"{path} is SentencePiece in another form; add its tokenizer.model")
    vocabulary = Vocabulary.blank(vocab_size)
    for token, i in table.items():
        vocabulary.set(i, token, 0.0, TokenType.NORMAL)
    for entry in document.get("added_tokens", []):
        kind = TokenType.CONTROL if entry.get("special") else TokenType.USER_DEFINED
        vocabulary.set(entry["id"], entry["content"], 0.0, kind)
    _write(writer, folder, vocabulary, model="gpt2", pre=_pre_type(path, document), merges=True)


def _pre_type(path: Path, document: dict[str, Any]) -> str:
    """llama.cpp's name for the way a tokenizer cuts text before it merges."""
    text = json.dumps(document.get("pre_tokenizer") or {})
    if "\\\\p{Lu}" in text:
        return "tekken"
    if "\\\\p{N}{1,3}" in text:
        return "llama-bpe"
    if "\\\\p{N}|" in text:
        return "qwen2"
    if '"Digits"' in text and '"individual_digits": true' in text:
        return "smollm"
    if '"ByteLevel"' in text and '"Split"' not in text:
        return "gpt-2"
    raise ValueError(
        f"{path} cuts text in a way that is not known here; known are the tokenizers of Llama 3, "
        "Qwen2, Mistral Nemo (tekken), SmolLM and GPT-2"
    )


def _write(
    writer: Any, folder: Path, vocabulary: Vocabulary, *, model: str, pre: str, merges: bool
) -> None:
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary.tokens)
    if model == "llama":
        writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    logging.getLogger("gguf.vocab").setLevel(logging.ERROR)  # template details that no one reads
    special = gguf.SpecialVocab(folder, load_merges=merges, n_vocab=len(vocabulary.tokens))
    special.add_to_gguf(writer)


def _check_size(path: Path, tokens: int, embeddings: int) -> None:
    if tokens > embeddings:
        raise ValueError(f"{path} has {tokens} tokens, the model embeds only {embeddings}")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
