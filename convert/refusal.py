"""What a user can mend: said in one line, without a traceback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Refusal(ValueError):
    """An input that cannot be used. Names the value, the choices and the remedy.

    Commands print it as one line. Any other ValueError is a fault of ours and keeps its traceback.
    """


def one_of(names: Iterable[str]) -> str:
    """Choices as they are named: `a, b or c`."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn whatever a foreign reader raises over a file into a refusal that names the file.

    For the call of the reader alone: readers raise a dozen types, `Exception` itself among them.
    """
    try:
        yield
    except (Refusal, OSError, MemoryError):
        raise
    except Exception as error:
        why = " ".join(str(error).split())
        raise Refusal(f"{path} cannot be read: {type(error).__name__}: {why}") from error
