"""A model file that nobody vouches for is opened in a child before it is opened here."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from convert.cache import cache_folder
from convert.files import LARGE_BYTES, read_json, write_json
from convert.printing import say
from convert.refusal import Refusal
from convert.selftest import PATIENCE_S, SILENT, identity, run_child

SLOW_DISK = 1e7  # bytes a second: the file is read as a whole


def first_look(path: Path) -> None:
    """See that llama.cpp opens a GGUF and decodes with it; asked once for every file and library.

    Raises:
        Refusal: if it does not, dies over it, or finds weights or logits that are not finite.
    """
    note = cache_folder("looks") / f"{_name(path)}.json"
    fault = read_json(note).get("fault")
    if fault is None:
        if path.stat().st_size > LARGE_BYTES:
            say(f"a first look at {path.name}, once", sys.stderr)
        fault = _fault(path)
        if SILENT not in fault:  # a slow disk or a busy machine: it is looked at again
            write_json(note, {"fault": fault})
    if fault:
        raise Refusal(f"cannot open {path}: {fault}")


def _fault(path: Path) -> str:
    """What is wrong with a file; empty if nothing is."""
    request = {"model": str(path.resolve()), "layers": 0, "safe": True}
    doing = "looking at the file, which is damaged or unknown to it"
    patience_s = PATIENCE_S + path.stat().st_size / SLOW_DISK
    events, end = run_child(request, doing, patience_s=patience_s)
    if end:
        return f"llama.cpp {end}"
    return next((str(event["failed"]) for event in events if "failed" in event), "no answer")


def _name(path: Path) -> str:
    """Changes with the file, as far as the file system tells, and with the library."""
    status = path.stat()
    facts = (path.resolve(), status.st_size, status.st_mtime_ns, status.st_ino, identity())
    return hashlib.sha256(os.fsencode(repr(facts))).hexdigest()[:32]
