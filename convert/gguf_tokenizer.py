"""A checkpoint's tokenizer as the metadata that llama.cpp reads."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from gguf import TokenType

from convert.ends import end_ids
from convert.files import read_json
from convert.gguf_vocabulary import END_IDS, PREFIX_ONCE, check_tokens
from convert.refusal import Refusal, reading
from convert.sentencepiece_types import user_defined
from convert.tokenizer_files import (
    PIECES,
    SETTINGS,
    TOKENIZER,
    added_decoder,
    added_ids,
    has_pieces,
    open_pieces,
    read_tokenizer,
)

UNUSED_SCORE = -10000.0
ADDED_SCORE = -1000.0
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LEAD = r"[^\r\n\p{L}\p{N}]?"
PRE_TYPES = {  # the regex in tokenizer.json: llama.cpp's name for it
    rf"{CONTRACTIONS}|{LEAD}\p{{L}}+|\p{{N}}{{1,3}}|{REST}": "llama-bpe",
    rf"{CONTRACTIONS}|{LEAD}\p{{L}}+|\p{{N}}|{REST}": "qwen2",
    rf"{LEAD}{UPPER}*{LOWER}+|{LEAD}{UPPER}+{LOWER}*|\p{{N}}|"
    + REST.replace(r"[\r\n]*", r"[\r\n/]*"): "tekken",
}


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

    def text(self, i: int) -> str | None:
        """What id `i` is defined as."""
        known = i < len(self.tokens) and self.types[i] != TokenType.UNUSED
        return self.tokens[i].decode() if known else None

    def make_control(self, i: int, token: str) -> None:
        """Make id `i` a control token, with this text where it had none."""
        if self.types[i] == TokenType.UNUSED:
            self.set(i, token, self.scores[i], TokenType.CONTROL)
        self.types[i] = int(TokenType.CONTROL)

    def add(self, i: int, entry: dict[str, Any], score: float) -> None:
        """Define a token that was added to the vocabulary afterwards."""
        token = str(entry["content"])
        looks_special = token.startswith(("<|", "<\uff5c")) and token.endswith(("|>", "\uff5c>"))
        if entry.get("special") or looks_special:
            self.set(i, token, score, TokenType.CONTROL)
        else:
            self.set(i, token.replace("\u2581", " "), score, TokenType.USER_DEFINED)


def add_tokenizer(
    writer: Any, folder: Path, vocab_size: int, control: Mapping[int, str] | None = None
) -> None:
    """Write the tokenizer of a checkpoint folder into a GGUF.

    Ids of `control` become control tokens, with that text where the tokenizer lacks them.

    Raises:
        Refusal: if llama.cpp has no equivalent, or the vocabulary exceeds the embeddings.
    """
    vocabulary = Vocabulary.blank(vocab_size)
    sentencepiece = has_pieces(folder)
    read = _read_sentencepiece if sentencepiece else _read_tokenizer_json
    model, pre = read(folder, vocabulary)
    for i, token in (control or {}).items():
        vocabulary.make_control(i, token)
    check_tokens(folder, vocabulary.tokens)
    _write(writer, folder, vocabulary, model, pre)
    writer.add_string(END_IDS, json.dumps(end_ids(folder, vocab_size)))
    prefix = read_json(folder / SETTINGS).get("add_prefix_space")
    if sentencepiece and prefix is not None:
        writer.add_add_space_prefix(bool(prefix))
    if model == "llama" and _prefixes_once(folder):
        writer.add_bool(PREFIX_ONCE, True)


def _prefixes_once(folder: Path) -> bool:
    """Whether only the beginning of a text gets a space in front, and not what follows a token.

    llama.cpp knows the other way only, SentencePiece's in transformers until `legacy: false`.
    """
    document = read_tokenizer(folder)
    if not document:
        return read_json(folder / SETTINGS).get("legacy") is False
    cutter = document.get("pre_tokenizer") or {}
    with reading(folder / TOKENIZER):
        parts = [dict(part) for part in cutter.get("pretokenizers", [cutter])]
    return any(
        part.get("type") == "Metaspace" and part.get("prepend_scheme") == "first" for part in parts
    )


def _read_sentencepiece(folder: Path, vocabulary: Vocabulary) -> tuple[str, str]:
    """Fill the vocabulary from tokenizer.model; returns llama.cpp's model and pre-tokenizer."""
    pieces = open_pieces(folder)
    _check_size(folder / PIECES, pieces.vocab_size(), len(vocabulary.tokens))
    symbols = user_defined(folder / PIECES)
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
            else TokenType.USER_DEFINED
            if i in symbols
            else TokenType.NORMAL
        )
        vocabulary.set(i, pieces.id_to_piece(i), pieces.get_score(i), kind)
    _add_added_tokens(vocabulary, folder)
    return "llama", "default"


def _add_added_tokens(vocabulary: Vocabulary, folder: Path) -> None:
    """Tokens that were added around a SentencePiece model: they win over its pieces."""
    for entry in read_tokenizer(folder).get("added_tokens") or []:
        if vocabulary.text(entry["id"]) != entry["content"]:
            vocabulary.add(entry["id"], entry, ADDED_SCORE)
    for token, i in added_ids(folder).items():
        vocabulary.set(i, token, ADDED_SCORE, TokenType.USER_DEFINED)
    for i, entry in added_decoder(folder):
        vocabulary.add(i, entry, ADDED_SCORE)


def _read_tokenizer_json(folder: Path, vocabulary: Vocabulary) -> tuple[str, str]:
    """Fill the vocabulary from tokenizer.json; returns llama.cpp's model and pre-tokenizer."""
    path = folder / TOKENIZER
    document = read_tokenizer(folder)
    model = document.get("model") or {}
    if model.get("type") != "BPE":
        raise Refusal(f"{path} holds a {model.get('type')} model; only BPE can go into a GGUF")
    table: dict[str, int] = model["vocab"]
    _check_size(path, max(table.values(), default=-1) + 1, len(vocabulary.tokens))
    sentencepiece = bool(model.get("byte_fallback")) and "<0x0A>" in table
    scores = _scores_of_merges(model.get("merges", [])) if sentencepiece else {}
    for token, i in table.items():
        byte = sentencepiece and len(token) == 6 and token.startswith("<0x")
        score = scores.get(token, UNUSED_SCORE - len(scores)) if sentencepiece else 0.0
        vocabulary.set(i, token, score, TokenType.BYTE if byte else TokenType.NORMAL)
    for entry in document.get("added_tokens") or []:
        vocabulary.add(entry["id"], entry, ADDED_SCORE if sentencepiece else 0.0)
    return ("llama", "default") if sentencepiece else ("gpt2", _pre_type(path, document))


def _scores_of_merges(merges: list[str | list[str]]) -> dict[str, float]:
    """SentencePiece's scores as its BPE export lost them: an earlier merge scores higher."""
    scores: dict[str, float] = {}
    for rank, merge in enumerate(merges):
        token = "".join(merge.split(" ", 1) if isinstance(merge, str) else merge)
        scores.setdefault(token, -float(rank))
    return scores


def _pre_type(path: Path, document: dict[str, Any]) -> str:
    """llama.cpp's name for the way a tokenizer cuts text before it merges."""
    with reading(path):
        found = document.get("pre_tokenizer") or {}
        parts = [dict(part) for part in found.get("pretokenizers", [found])]
        patterns = [p["pattern"].get("Regex") for p in parts if p.get("type") == "Split"]
    cutters = [p for p in parts if p.get("type") != "Split"]
    kinds = [str(p.get("type")) for p in cutters]
    if len(patterns) == 1 and patterns[0] in PRE_TYPES and kinds == ["ByteLevel"]:
        return PRE_TYPES[patterns[0]]
    if not patterns and kinds == ["Digits", "ByteLevel"] and cutters[0].get("individual_digits"):
        return "smollm"
    if not patterns and kinds == ["ByteLevel"] and cutters[0].get("use_regex", True):
        return "gpt-2"
    raise Refusal(
        f"{path} cuts text in a way that is not known here; known are the tokenizers of Llama 3, "
        "Qwen2, Mistral Nemo (tekken), SmolLM and GPT-2"
    )


def _write(writer: Any, folder: Path, vocabulary: Vocabulary, model: str, pre: str) -> None:
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary.tokens)
    if model == "llama":
        writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    logging.getLogger("gguf.vocab").setLevel(logging.ERROR)  # template details that no one reads
    merges = model == "gpt2"
    with reading(folder):
        special = _SpecialTokens(folder, load_merges=merges, n_vocab=len(vocabulary.tokens))
        if model == "gpt2":  # llama.cpp's default depends on `pre`
            special.add_special_token.setdefault("bos", False)
        special.add_to_gguf(writer)


class _SpecialTokens(gguf.SpecialVocab):  # type: ignore[misc]
    """The special tokens of a folder; -1 names none."""

    def _set_special_token(self, typ: str, tid: Any) -> None:
        if tid != -1:
            super()._set_special_token(typ, tid)


def _check_size(path: Path, tokens: int, embeddings: int) -> None:
    if tokens > embeddings:
        raise Refusal(f"{path} has {tokens} tokens, the model embeds only {embeddings}")
