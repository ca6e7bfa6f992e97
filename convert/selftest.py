"""Does this llama.cpp run on this processor? Asked in a child, once for every weight type.

A library that another machine or a faulty compiler built may die in native code, or compute wrong
numbers in silence (llama.cpp issue 20824: AMX kernels of GCC 12). The verdict is kept for the pair
of library and processor; that a child took too long is none, and the machine may have been busy.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from convert import child
from convert.cache import cache_folder
from convert.deaths import died
from convert.files import read_json, write_json
from convert.ggml import library_folder, type_name
from convert.gguf_header import read_header
from convert.refusal import Refusal

Mode = Literal["works", "safe", "fails"]
ON_A_CARD = 2  # layers: the one of the tiny model, and its output
SETTINGS = ("CUDA_", "GGML_")  # beginnings of variables that choose a card and its kernels
PATIENCE_S = 120.0  # for one weight type, on a slow and busy machine
SILENT = "did not answer in"  # of a child whose time was up: no verdict, it is asked again
REBUILD = "rebuild it: make rebuild (see profile doctor)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a weight type can be used: as the library likes, without its extra kernels, or not."""

    mode: Mode
    said: str = ""  # what went wrong with the first way


def safe_mode(types: Iterable[int]) -> str:
    """Why models of these weight types open without extra kernels; empty where all is well.

    What was never met is tried now.

    Raises:
        Refusal: if a type cannot be used at all; says which, and why.
    """
    found = verdicts(types)
    for kind, verdict in found.items():
        if verdict.mode == "fails":
            raise Refusal(
                f"llama.cpp does not work with {type_name(kind)} weights on this machine: it "
                f"{verdict.said}; {REBUILD}"
            )
    for kind, verdict in found.items():
        if verdict.mode == "safe":
            fault = f"with {type_name(kind)} weights it {verdict.said}"
            return f"safe mode, slower: llama.cpp's fast kernels fail here, {fault}; {REBUILD}"
    return ""


def remarks(paths: Iterable[Path]) -> list[str]:
    """What is to be said of GGUF files before children of ours open them; mostly nothing."""
    found = []
    for path in paths:
        try:
            line = safe_mode({tensor.type for tensor in read_header(path).tensors})
        except Refusal as refusal:
            line = str(refusal)
        found += [f"{path.name}: {line}"] if line else []
    return found


def card_fault(types: Iterable[int]) -> str:
    """Why models of these weight types cannot use a card; empty where they can."""
    for kind, verdict in verdicts(types, layers=ON_A_CARD).items():
        if verdict.mode == "fails":
            return f"with {type_name(kind)} weights it {verdict.said}"
    return ""


def verdicts(types: Iterable[int], *, layers: int = 0) -> dict[int, Verdict]:
    """The verdict of every weight type, in order of ggml's numbers."""
    wanted = sorted(set(types))
    note = _note(layers)
    known = _read(note)
    if missing := [kind for kind in wanted if kind not in known]:
        known |= _ask(missing, layers)
        sure = {k: verdict for k, verdict in known.items() if not verdict.said.startswith(SILENT)}
        write_json(note, {str(kind): asdict(verdict) for kind, verdict in sure.items()})
    return {kind: known[kind] for kind in wanted}


def _ask(types: Sequence[int], layers: int) -> dict[int, Verdict]:
    """Try every type as the library likes, what fails again without extra kernels."""
    faults = _faults(types, layers, safe=False)
    again = _faults([kind for kind in types if faults[kind]], layers, safe=True)
    modes: dict[int, Mode] = {
        kind: "fails" if again.get(kind) else "safe" if faults[kind] else "works" for kind in types
    }
    return {kind: Verdict(modes[kind], faults[kind]) for kind in types}


def _faults(types: Sequence[int], layers: int, *, safe: bool) -> dict[int, str]:
    """What is wrong with every type; empty where nothing is. A death costs only the one it met."""
    found: dict[int, str] = {}
    while todo := [kind for kind in types if kind not in found]:
        request = {"types": todo, "layers": layers, "safe": safe}
        events, end = run_child(request, "at work", patience_s=len(todo) * PATIENCE_S)
        for event in events:
            if "ended" in event:
                found[event["ended"]] = event["failed"]
        if len(found) < len(types) and end:
            begun = [event["begun"] for event in events if "begun" in event]
            found |= dict.fromkeys(begun[-1:] or todo, end)
    return found


def run_child(
    request: dict[str, Any],
    doing: str,
    module: str = "convert.selftest_child",
    *,
    patience_s: float = PATIENCE_S,
) -> tuple[list[dict[str, Any]], str]:
    """What a child said, and how it ended where that was not well."""
    started = subprocess.Popen(
        child.command(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=child.environment(),
        start_new_session=True,
    )
    with started as process:
        try:
            out, errors = process.communicate(json.dumps(request), patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            return _events(out), f"{SILENT} {patience_s:.0f} s"
        except BaseException:
            process.kill()
            raise
    if process.returncode < 0:
        end = died(process.returncode, doing)
    else:
        lines = errors.strip().splitlines() or ["no word"]
        end = f"exit code {process.returncode}: {lines[-1]}" if process.returncode else ""
    return _events(out), end


def _events(out: str) -> list[dict[str, Any]]:
    """The lines that are ours."""
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def _read(note: Path) -> dict[int, Verdict]:
    try:
        return {int(kind): Verdict(**verdict) for kind, verdict in read_json(note).items()}
    except (ValueError, TypeError):  # of another version, or half of one
        return {}


def _note(layers: int) -> Path:
    """Where the verdicts of this library on this processor stand; a card's by its settings."""
    name = identity()
    if layers:
        said = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith(SETTINGS))
        name += "-card-" + hashlib.sha256("\n".join(said).encode()).hexdigest()[:8]
    return cache_folder("selftest") / f"{name}.json"


@cache
def identity() -> str:
    """Changes with the libraries of llama.cpp and with the processor."""
    files = sorted(p for p in library_folder().iterdir() if p.is_file())
    facts = [f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files]
    return hashlib.sha256("\n".join([*facts, *processor()]).encode()).hexdigest()[:32]


def processor() -> list[str]:
    """Model and features of the processor, where the system tells."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return [platform.machine(), platform.processor()]
    names = ("model name", "flags", "Features", "CPU part")
    lines = info.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0].splitlines()
    return [line for line in lines if line.startswith(names)]
