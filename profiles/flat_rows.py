"""Rows made of parts, written flat: the fields of a part stand beside those of the row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from profiles.intervals import Estimate

BOUNDS = {"value": "", "low": "_low", "high": "_high"}  # of an estimate, behind its field's name


def flat(row: Any) -> dict[str, Any]:
    """The fields of a row and of all its parts, in their order; None for those of a missing part.

    An `Estimate` called `tau` becomes `tau`, `tau_low` and `tau_high`.
    """
    found: dict[str, Any] = {}
    for name, value, part in _fields(type(row), row):
        if part is Estimate:
            found |= {name + end: getattr(value, bound, None) for bound, end in BOUNDS.items()}
        elif part is None:
            found[name] = value
        else:
            found |= dict.fromkeys(names(part)) if value is None else flat(value)
    return found


def nested(kind: type[Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """A flat table sorted into the parts of a row, the inverse of `flat`; what it lacks is absent.

    A part that may be missing, and of which nothing is there, is None.
    """
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        part = _part(hint)
        if part is None:
            found |= {name: table[name]} if name in table else {}
            continue
        if part is Estimate:
            ends = BOUNDS.items()
            inner = {bound: table[name + end] for bound, end in ends if name + end in table}
        else:
            inner = nested(part, table)
        nothing = all(value is None for value in inner.values())
        found[name] = None if nothing and type(None) in get_args(hint) else inner
    return found


def _fields(kind: type[Any], row: Any) -> Iterator[tuple[str, Any, type[Any] | None]]:
    for name, hint in get_type_hints(kind).items():
        yield name, getattr(row, name), _part(hint)


def _part(hint: Any) -> type[Any] | None:
    """The dataclass that a field holds, perhaps or for sure; None for a plain value."""
    kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]
    return next((kind for kind in kinds if is_dataclass(kind)), None)


def names(kind: type[Any]) -> Iterator[str]:
    """The names that a part has when it is flat."""
    for name, hint in get_type_hints(kind).items():
        part = _part(hint)
        if part is Estimate:
            yield from (name + end for end in BOUNDS.values())
        elif part is None:
            yield name
        else:
            yield from names(part)
