"""Files against the hashes that their manifest names; what was checked once is remembered."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from convert.artifact import Artifact
from convert.cache import cache_folder
from convert.files import LARGE_BYTES, read_json, sha256, write_json
from convert.onnx_files import cuda_path, model_files
from convert.printing import say
from convert.refusal import Refusal


def verify(artifact: Artifact) -> bool:
    """Check every file of an artifact; False where no manifest vouches for the model file.

    A file that was checked is not read again until its size or time changes.

    Raises:
        FileNotFoundError: if a file is gone.
        Refusal: if a file is not the one that was converted; names it.
    """
    if artifact.path.name not in artifact.sha256:
        return False
    for path in files_of(artifact):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; it belongs beside {artifact.path.name}")
        wanted = artifact.sha256.get(path.name)
        if wanted is None or wanted != known_sha256(path):
            raise Refusal(
                f"{path} is not the file that {artifact.manifest_path.name} describes: it was "
                "changed, or a conversion was cut off; convert the model again with --force"
            )
    return True


def files_of(artifact: Artifact) -> list[Path]:
    """All files that an artifact needs, those beside the model too."""
    found = model_files(artifact.path)
    if artifact.format == "onnx" and cuda_path(artifact.path).name in artifact.sha256:
        found.append(cuda_path(artifact.path))
    beside = (artifact.heads, artifact.tokenizer)
    return [*found, *(artifact.path.with_name(name) for name in beside if name)]


def known_sha256(path: Path) -> str:
    """The hash of a file, out of the cache where size and time are those of the last look."""
    state = _state(path)
    note = _note(path)
    try:
        known = read_json(note)
    except Refusal:  # half a note is none
        known = {}
    if known.get("state") == state:
        return str(known.get("sha256"))
    if path.stat().st_size > LARGE_BYTES:
        say(f"hashing {path.name}, once", sys.stderr)
    found = sha256(path)
    write_json(note, {"state": state, "sha256": found})
    return found


def _state(path: Path) -> list[Any]:
    """Changes with the content, as far as the file system tells."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _note(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return cache_folder("verified") / f"{name}.json"
