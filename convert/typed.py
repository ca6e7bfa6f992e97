"""JSON documents as dataclasses, their types checked."""

from __future__ import annotations

from functools import cache
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
    from pydantic import ValidationError

    try:
        adapter = _adapter(kind)  # type: ignore[arg-type]
        found: T = adapter.validate_json(regular(path).read_bytes(), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise Refusal(f"{path} is not {what}: {where}: {first['msg']}") from error
    return found


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
