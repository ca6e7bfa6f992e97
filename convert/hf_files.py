"""What transformers and tokenizers read from a checkpoint folder, whose code never runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convert.refusal import Refusal, reading

HERE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn what these libraries raise over a folder or file into a refusal that names it."""
    try:
        with reading(path):
            yield
    except Refusal as error:
        if "trust_remote_code" not in str(error):
            raise
        raise Refusal(
            f"{path} needs Python code that came with it (auto_map), which is never run here; "
            "choose a checkpoint whose classes transformers has"
        ) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's, which is no Exception
            raise
        raise Refusal(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def default_template(folder: Path, found: Any) -> str | None:
    """The chat template of a checkpoint, by what its tokenizer says: one, several by name, or none.

    Raises:
        Refusal: if it is no text, or none that can be written in UTF-8.
    """
    template = found.get("default") if isinstance(found, dict) else found
    if template is None:
        return None
    if not isinstance(template, str):
        kind = type(template).__name__
        raise Refusal(f"{folder}: chat_template is of type {kind}, not text; mend or remove it")
    try:
        template.encode()
    except UnicodeEncodeError:
        raise Refusal(f"{folder}: chat_template is not valid Unicode; mend or remove it") from None
    return template
