"""Files: written whole or not at all, hashed, and read where they are JSON."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SPARE_BYTES = 64 << 20  # left free on the disk
BLOCK_BYTES = 1 << 22


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A `.part` path to write to; renamed to `path` on success, removed on any failure."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def refuse_overwrite(paths: list[Path], *, force: bool) -> None:
    """Raise FileExistsError if one of the paths exists and `force` is off."""
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        raise FileExistsError(f"{existing[0]} exists; give --force to overwrite it")


def need_space(folder: Path, size_bytes: int) -> None:
    """Raise OSError if the disk of `folder` has not that much room."""
    free = shutil.disk_usage(folder).free
    if free < size_bytes + SPARE_BYTES:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB free and {size_bytes / 1e9:.1f} GB are needed; "
            "choose another --output"
        )


def sha256(path: Path) -> str:
    """The hash of a file's content."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file; an empty one where there is no file.

    Raises:
        ValueError: if it is not JSON; names the file.
    """
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
