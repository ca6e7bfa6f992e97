"""Texts as tokenizers can read them, and ids as they must come out."""

from __future__ import annotations

from pathlib import Path

from convert.refusal import Refusal


def utf8(text: str) -> bytes:
    """The bytes of a text.

    Raises:
        Refusal: if it holds half of a surrogate pair, as a JSON escape can name one.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X}"
        raise Refusal(
            f"the question is not valid Unicode: it holds {found}, half of a surrogate pair; "
            "write the whole character"
        ) from None


def known(path: Path | str, ids: list[int], size: int) -> list[int]:
    """The ids, all of which a model of `size` tokens embeds.

    Raises:
        Refusal: if one lies beyond; names the tokenizer's file.
    """
    if ids and max(ids) >= size:
        raise Refusal(
            f"{path}: its tokenizer gives token {max(ids)} and the model has {size}; take the "
            "tokenizer that belongs to the model"
        )
    return ids


def in_front(whole: list[int], body: list[int]) -> list[int]:
    """What a tokenizer puts before a text, by the ids with it and without; nothing at the end."""
    for begin in range(len(whole) - len(body) + 1):
        if whole[begin : begin + len(body)] == body:
            return whole[:begin]
    return []


def without_guard(path: Path | str, whole: list[int], guard: list[int]) -> list[int]:
    """Ids of a text that was read behind a guard, the guard's own left out.

    Raises:
        Refusal: if the tokenizer merged the two; names its file.
    """
    if whole[: len(guard)] != guard:
        raise Refusal(
            f"{path}: its tokenizer joins a line end with the text behind it, so that no text can "
            "be continued; take the tokenizer that belongs to the model"
        )
    return whole[len(guard) :]
