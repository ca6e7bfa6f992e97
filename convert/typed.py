"""JSON documents as dataclasses, their types checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from convert.files import regular
from convert.refusal import Refusal

T = TypeVar("T")


def read_typed(kind: type[T], path: Path, what: str) -> T:
    """The dataclass that a JSON file holds. `what` it should be goes into the refusal.

    Raises:
        FileNotFoundError: if there is no file.
        Refusal: if it is not JSON, a field is missing, or one has another type; names it.
    """
    return typed(kind, regular(path).read_bytes(), f"{path} is not {what}")


def typed(kind: type[T], content: bytes, otherwise: str) -> T:
    """The dataclass in a JSON text, every field of its own type.

    Raises:
        Refusal: if it holds something else: `otherwise`, and the field with what it should be.
    """
    import msgspec

    try:
        return msgspec.json.decode(content, type=kind, dec_hook=_from_text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        said, _, place = str(error).partition(" - at `$")
        raise Refusal(": ".join(filter(None, [otherwise, place.strip("`."), said]))) from error


def _from_text(kind: type[Any], value: Any) -> Any:
    """Paths, which JSON writes as text."""
    if not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return kind(value)
