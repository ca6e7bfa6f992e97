"""Tokenizer files of a checkpoint, judged before a foreign reader sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convert import bounds
from convert.files import read_json, regular
from convert.refusal import Refusal, reading

IDS = (0, bounds.VOCAB[1] - 1)
PIECES, TOKENIZER = "tokenizer.model", "tokenizer.json"
ADDED, SETTINGS = "added_tokens.json", "tokenizer_config.json"
TIKTOKEN = re.compile(rb"[A-Za-z0-9+/=]+ \d+\r?\n")  # a line of such a file: base64 and a rank
TIKTOKEN_BYTES = 1 << 10


def check_tokenizer(folder: Path) -> None:
    """Refuse tokenizer files that are not of their form, or have an id beyond any vocabulary."""
    read_tokenizer(folder)
    added_ids(folder)
    for _ in added_decoder(folder):
        pass
    path = folder / SETTINGS
    template = read_json(path).get("chat_template")
    for each in template if isinstance(template, list) else [{"template": template}]:
        if not isinstance(each, dict):
            raise Refusal(f"{path} gives chat_template {bounds.shown(each)}; choose a table")
        if each.get("template") is not None:
            bounds.text(path, "chat_template", each["template"])


def has_chat_template(folder: Path) -> bool:
    """Whether a checkpoint has a chat template, in one of the places that transformers knows."""
    named = any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json"))
    return named or bool(read_json(folder / SETTINGS).get("chat_template"))


def token_id(folder: Path, text: str) -> int | None:
    """The id of a token, by the files in which it may stand; None where none has it."""
    for i, entry in added_decoder(folder):
        if entry["content"] == text:
            return i
    if (found := added_ids(folder).get(text)) is not None:
        return found
    document = read_tokenizer(folder)
    for entry in document.get("added_tokens") or []:
        if entry["content"] == text:
            return int(entry["id"])
    vocabulary = (document.get("model") or {}).get("vocab")
    if isinstance(vocabulary, dict):
        return vocabulary.get(text)
    if not has_pieces(folder):
        return None
    pieces = open_pieces(folder)
    i = int(pieces.piece_to_id(text))
    return None if pieces.is_unknown(i) else i


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """The document in tokenizer.json, its model and added tokens checked; empty without one."""
    path = folder / TOKENIZER
    document = read_json(path)
    model = _table(path, "model", document.get("model"))
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        _check_ids(path, "vocab", vocabulary)
        _check_merges(path, model.get("merges", []))
    elif model.get("type") in ("BPE", "WordPiece", "WordLevel"):
        raise Refusal(f"{path} gives vocab {bounds.shown(vocabulary)}; choose a table of ids")
    added = document.get("added_tokens") or []
    if not isinstance(added, list):
        raise Refusal(f"{path} gives added_tokens {bounds.shown(added)}; choose a list")
    for entry in added:
        _check_entry(path, entry)
        bounds.integer(path, "added_tokens.id", entry.get("id"), IDS)
    return document


def added_ids(folder: Path) -> dict[str, int]:
    """Ids by text in added_tokens.json."""
    path = folder / ADDED
    found = read_json(path)
    _check_ids(path, ADDED, found)
    return found


def added_decoder(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Ids and entries of the tokens that tokenizer_config.json adds."""
    path = folder / SETTINGS
    key = "added_tokens_decoder"
    for name, entry in _table(path, key, read_json(path).get(key)).items():
        _check_entry(path, entry)
        if not (name.isascii() and name.isdecimal() and len(name) < 20):
            raise Refusal(f"{path} gives {key} the id {bounds.shown(name)}; choose a whole number")
        yield bounds.integer(path, key, int(name), IDS), entry


def has_pieces(folder: Path) -> bool:
    """Whether tokenizer.model is SentencePiece's; tiktoken's, of that name too, gives way.

    Raises:
        Refusal: if it is tiktoken's and there is no tokenizer.json.
    """
    path = folder / PIECES
    if not path.exists():
        return False
    with regular(path).open("rb") as content:
        tiktoken = TIKTOKEN.match(content.read(TIKTOKEN_BYTES)) is not None
    if tiktoken and not (folder / TOKENIZER).exists():
        raise Refusal(f"{path} is a tiktoken file, which is not read; put {TOKENIZER} beside it")
    return not tiktoken


def added_tokens(folder: Path) -> dict[str, int]:
    """Ids of the tokens that were added to a tokenizer, by any of the files that tell."""
    listed = read_tokenizer(folder).get("added_tokens") or []
    return {
        **added_ids(folder),
        **{str(entry["content"]): i for i, entry in added_decoder(folder)},
        **{str(entry["content"]): int(entry["id"]) for entry in listed},
    }


def open_pieces(folder: Path) -> Any:
    """The SentencePiece model of a folder.

    Raises:
        Refusal: if it is none.
    """
    from sentencepiece import SentencePieceProcessor

    path = regular(folder / PIECES)
    with reading(path):
        return SentencePieceProcessor(model_file=str(path))


def _table(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict | None):
        raise Refusal(f"{path} gives {key} {bounds.shown(value)}; choose a table")
    return value or {}


def _check_ids(path: Path, key: str, table: dict[str, Any]) -> None:
    least, most = IDS
    _check_texts(path, f"{key}, a token of it,", list(table))
    for token, i in table.items():  # a check at a time would cost seconds in a large one
        if type(i) is not int or not least <= i <= most:
            bounds.integer(path, f"{key}[{bounds.shown(token)}]", i, IDS)
            raise AssertionError(i)


def _check_merges(path: Path, merges: Any) -> None:
    if not isinstance(merges, list):
        raise Refusal(f"{path} gives merges {bounds.shown(merges)}; choose a list")
    for merge in merges:
        if isinstance(merge, str) and " " in merge:
            continue
        if not isinstance(merge, list) or [type(part) for part in merge] != [str, str]:
            raise Refusal(f"{path} gives the merge {bounds.shown(merge)}; choose two texts")
    _check_texts(path, "a merge", [m if isinstance(m, str) else "".join(m) for m in merges])


def _check_texts(path: Path, key: str, texts: list[str]) -> None:
    """Refuse texts that UTF-8 cannot hold; looked at one by one only where there is such."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        for each in texts:
            bounds.text(path, key, each)
        raise


def _check_entry(path: Path, entry: Any) -> None:
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise Refusal(
            f"{path} gives the added token {bounds.shown(entry)}; choose a table with its content"
        )
    bounds.text(path, "an added token", entry["content"])
