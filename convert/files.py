"""Files: written whole or not at all, hashed, locked, and read where they are JSON."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convert.cache import cache_folder
from convert.printing import say
from convert.refusal import Refusal

PART = ".part"  # behind the name of a file that is being written
SPARE_BYTES = 64 << 20  # left free on the disk
BLOCK_BYTES = 1 << 22
FULL_BYTES = 1 << 20  # a disk with less room left is full
LARGE_BYTES = 256 << 20  # reading a file of this size takes long enough to say so
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
JSON_BYTES = 1 << 30  # no document that is read whole is larger


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A `.part` path to write to; renamed to `path` on success, removed on any failure.

    Raises:
        OSError: if the disk is full; names the file, what was written and what is free.
    """
    with writing(path.with_name(path.name + PART)) as part:
        yield part
        os.replace(part, path)


@contextmanager
def writing(part: Path) -> Iterator[Path]:
    """A new file to write to, gone afterwards if it is still there; raises as `whole` does."""
    part.unlink(missing_ok=True)  # what a process was killed over, another may still write to
    try:
        part.touch()  # inside: a signal may come while it is made
        yield part
    except NoRoom:
        raise
    except OSError as error:
        if error.errno not in NO_ROOM and not (error.errno is None and full(part.parent)):
            raise
        raise no_room(part, _written_bytes(part)) from error
    finally:
        part.unlink(missing_ok=True)


def _written_bytes(part: Path) -> int:
    """How much of a file is on the disk; a file may have holes that are to be filled."""
    if not part.exists():
        return 0
    status = part.stat()
    return min(status.st_size, getattr(status, "st_blocks", status.st_size) * 512)


class NoRoom(OSError):
    """A disk is full."""


def full(folder: Path) -> bool:
    """Whether the disk of a folder is; numpy tells a short write without the system's reason."""
    return shutil.disk_usage(folder).free < FULL_BYTES


def no_room(part: Path, written_bytes: int) -> NoRoom:
    """The error of a disk that is full, with both numbers."""
    free = shutil.disk_usage(part.parent).free
    return NoRoom(
        f"{part.with_name(part.name.removesuffix(PART))}: no space left on the disk: "
        f"{written_bytes / 1e6:,.1f} MB were written, {free / 1e6:,.1f} MB are free; free some, or "
        "choose another folder"
    )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, in UTF-8."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, document: object, *, indent: int = 1) -> None:
    """Write a document whole or not at all."""
    write_text(path, json.dumps(document, indent=indent, ensure_ascii=False) + "\n")


@contextmanager
def alone(path: Path, *, patience_s: float = -1) -> Iterator[None]:
    """Hold the lock of `path` against other processes; says so where it has to wait.

    Raises:
        Refusal: if another process does not give it up in time.
    """
    import hashlib

    from filelock import FileLock, Timeout

    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    lock = FileLock(cache_folder("locks") / name)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting: another process is writing {path}", sys.stderr)
            lock.acquire(timeout=patience_s)
    except Timeout as error:
        raise Refusal(f"{path} is being written by another process; wait or stop it") from error
    try:
        yield
    finally:
        lock.release()


def refuse_overwrite(paths: Sequence[Path], *, force: bool) -> None:
    """Raise FileExistsError if one of the paths exists and `force` is off."""
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        raise FileExistsError(f"{existing[0]} exists; give --force to overwrite it")


def need_space(folder: Path, size_bytes: int, remedy: str = "choose another --output") -> None:
    """Raise OSError if the disk of `folder` has not that much room; `remedy` says what to do."""
    free = shutil.disk_usage(folder).free
    if free < size_bytes + SPARE_BYTES:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB free and {size_bytes / 1e9:.1f} GB are needed; "
            f"{remedy}"
        )


def regular(path: Path) -> Path:
    """The path of a file that has an end: no pipe and no device, which may have none.

    Raises:
        FileNotFoundError: if there is nothing.
        Refusal: if it is something else.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise Refusal(f"{path} is {what}; give a file")
    return path


def sha256(path: Path) -> str:
    """The hash of a file's content."""
    import hashlib

    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file; an empty one where there is no file.

    Raises:
        Refusal: if it is not a table in JSON; names the file.
    """
    if not path.exists():
        return {}
    if regular(path).stat().st_size > JSON_BYTES:
        raise Refusal(f"{path} has {path.stat().st_size} bytes: too large for a JSON file")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refusal(f"{path} is not a table in JSON: it holds a {type(found).__name__}")
    return found
