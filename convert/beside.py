"""Files beside a model that belong to it: heads, tokenizer. Their names tell their content."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convert.files import PART, sha256, writing
from convert.refusal import Refusal

DIGITS = 12  # of the hash in a name


@dataclass(frozen=True, slots=True)
class Beside:
    """A file that waits until a model that needs it is whole."""

    path: Path
    part: Path

    def place(self) -> None:
        """Put the file where it belongs; one of that name has that content."""
        if self.part.exists():
            os.replace(self.part, self.path)


@contextmanager
def made(folder: Path, name: str, suffix: str, write: Callable[[Path], None]) -> Iterator[Beside]:
    """A new file, named by its content: `policy-0123456789ab.heads.safetensors`."""
    with writing(folder / f"{name}{suffix}{PART}") as part:
        write(part)
        yield Beside(folder / f"{name}-{sha256(part)[:DIGITS]}{suffix}", part)


@contextmanager
def copied(source: Path, folder: Path) -> Iterator[Beside]:
    """The same file in another folder, under its own name, which its models know.

    Raises:
        Refusal: if another file of that name is there.
    """
    path = folder / source.name
    if path.exists() and sha256(path) != sha256(source):
        raise Refusal(f"{path} exists and belongs to other models; choose another --output")
    with writing(path.with_name(path.name + PART)) as part:
        if not path.exists():
            shutil.copyfile(source, part)
            yield Beside(path, part)
        else:
            yield Beside(path, path)
