"""JSON that a run stored, read back: whatever was done to it by hand, types and numbers hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from convert.files import regular
from convert.refusal import Refusal
from convert.typed import typed

T = TypeVar("T")
LARGEST = 1e24  # no count, second, byte or operation of a run comes near


def parse(
    kind: type[T],
    content: bytes,
    where: str,
    what: str,
    *,
    least: float = -LARGEST,
    needed: Sequence[str] = (),
) -> T:
    """The dataclass in a JSON text. `what` it should be goes into the refusal.

    No number is below `least`. Fields that are left out have their defaults, but for `needed`.

    Raises:
        Refusal: if it is something else; names `where`.
    """
    document = load(content, where, what, least=least)
    missing = [name for name in needed if name not in document]
    strange = document.keys() - {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if missing or strange:
        named = f"{missing[0]} is missing" if missing else f"{min(strange)!r} is unknown"
        raise Refusal(f"{where} is not {what}: {named}")
    return typed(kind, content, f"{where} is not {what}")


def read_stored(kind: type[T], path: Path, what: str, *, least: float = -LARGEST) -> T:
    """The dataclass in a file, as `parse` reads it."""
    return parse(kind, regular(path).read_bytes(), str(path), what, least=least)


def read_document(kind: type[T], path: Path, what: str) -> T:
    """The dataclass in a file, which may hold more than its fields.

    Raises:
        Refusal: if a field is missing or of another type; names the file.
    """
    content = regular(path).read_bytes()
    load(content, str(path), what)
    return typed(kind, content, f"{path} is not {what}")


def load(content: bytes, where: str, what: str, *, least: float = -LARGEST) -> dict[str, Any]:
    """The table in a JSON text, its numbers finite and not below `least`.

    Raises:
        Refusal: if it is something else; names `where`.
    """

    def number(read: Callable[[str], Any]) -> Callable[[str], Any]:
        def check(text: str) -> Any:
            value = read(text) if len(text) < 400 else math.nan  # longer than any double
            if not least <= value <= LARGEST:
                raise ValueError(f"{text[:40]} is out of range")
            return value

        return check

    try:
        found = json.loads(
            content, parse_int=number(int), parse_float=number(float), parse_constant=number(float)
        )
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{where} is not {what}: {error}") from error
    if not isinstance(found, dict):
        raise Refusal(f"{where} is not {what}: it holds no table but a {type(found).__name__}")
    return found
