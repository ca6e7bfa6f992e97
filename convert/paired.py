"""A checkpoint without its tokenizer, beside the tokenizer of another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from convert.cache import cache_folder
from convert.hub import TOKENIZER_FILES
from convert.refusal import Refusal


def paired(model: Path, name: str, tokenizer: Path) -> Path:
    """A folder in the user's cache that links to the files of a model, but for its tokenizer's.

    Those are links to the files of the folder `tokenizer`. It is called `name`.

    Raises:
        Refusal: if there is no tokenizer in that folder.
    """
    files = list(_tokenizer_files(tokenizer))
    if not files:
        raise Refusal(f"--tokenizer {tokenizer} holds no tokenizer; choose one that does")
    both = os.fsencode(model.resolve()) + b"\0" + os.fsencode(tokenizer.resolve())
    folder = cache_folder("paired", hashlib.sha256(both).hexdigest()[:16], name)
    own = set(_tokenizer_files(model))
    wanted = {
        f.name: f.resolve() for f in (*model.iterdir(), *files) if f.is_file() and f not in own
    }
    found = {link.name: link.resolve() for link in folder.iterdir()}
    for name in found.keys() | wanted.keys():
        if found.get(name) != wanted.get(name):
            (folder / name).unlink(missing_ok=True)
            if name in wanted:
                (folder / name).symlink_to(wanted[name])
    return folder


def _tokenizer_files(folder: Path) -> Iterator[Path]:
    for pattern in TOKENIZER_FILES:
        yield from folder.glob(pattern)
