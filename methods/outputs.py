"""Files that a command is asked to write: refused before the work, not after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convert.files import refuse_overwrite, regular


def check(paths: Sequence[Path], *, force: bool) -> None:
    """Refuse before the work what could not be written after it.

    Raises:
        FileExistsError: if a file exists and `force` is off.
        FileNotFoundError: if a folder is missing.
        Refusal: if a path is a folder, a pipe or a device.
    """
    refuse_overwrite(list(paths), force=force)
    for path in paths:
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is not a folder; make it first")
        if path.exists():
            regular(path)
