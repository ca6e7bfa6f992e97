"""What works on this machine, what does not, and the command that mends it."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from convert.cache import cache_folder
from convert.ggml import library_folder
from convert.selftest import ON_A_CARD, Verdict, run_child, verdicts
from profiles.doctor import ready_made
from profiles.environment import cpu_name, packages
from runtime import nvidia_cards

TYPES = {  # ggml's numbers of the weight types that common levels are made of
    "f16": 1,
    "bf16": 30,
    "q8_0": 8,
    "q6_k": 14,
    "q5_k": 13,
    "q4_k": 12,
    "q4_0": 2,
    "q3_k": 11,
    "q2_k": 10,
    "iq4_nl": 20,
    "iq4_xs": 23,
}
REBUILD = "make rebuild, or the command in the README under Install"
COMPILER = re.compile(rb"GCC: \([^)]*\) ([0-9.]+)|clang version ([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Health:
    """The facts of a machine. `native` is what the libraries say, by library."""

    packages: Mapping[str, str]
    cpu: str
    cores: int
    ram_bytes: int
    system: str
    compiler: str
    native: Mapping[str, Any]
    weights: Mapping[str, Verdict]
    card_weights: Mapping[str, Verdict]
    cache: str
    cache_bytes: int
    cache_free_bytes: int
    faults: Sequence[Fault]


def examine() -> Health:
    """Look at everything; what may die is asked in a child."""
    events, end = run_child({}, "telling its version", "profiles.doctor.child")
    native = {name: value for event in events for name, value in event.items()}
    weights = _weights(0)
    cards = native.get("llama.cpp", {}).get("cards", [])
    card_weights = _weights(ON_A_CARD) if cards else {}
    cache = cache_folder()
    faults = [
        *_dead(end, native.get("missing", [])),
        *_failing(weights, "the CPU"),
        *_failing(card_weights, "the card"),
    ]
    faults += [*_idle_cards(cards), *_wheels()]
    return Health(
        packages=packages(),
        cpu=cpu_name(),
        cores=psutil.cpu_count(logical=False) or 1,
        ram_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        compiler=_compiler(),
        native=native,
        weights=weights,
        card_weights=card_weights,
        cache=str(cache),
        cache_bytes=sum(p.stat().st_size for p in cache.rglob("*") if p.is_file()),
        cache_free_bytes=shutil.disk_usage(cache).free,
        faults=faults,
    )


def _weights(layers: int) -> dict[str, Verdict]:
    found = verdicts(TYPES.values(), layers=layers)
    return {name: found[kind] for name, kind in TYPES.items()}


def _dead(end: str, missing: Sequence[str]) -> list[Fault]:
    """A library that lacks functions cannot be loaded either: that alone is told."""
    if missing:
        what = f"llama.cpp lacks functions that are called here: {', '.join(missing)}"
        return [Fault(what, f"make rebuild, or llama-cpp-python {ready_made.VERSION} as it is")]
    return [Fault(f"llama.cpp cannot be loaded: it {end}", REBUILD)] if end else []


def _failing(weights: Mapping[str, Verdict], where: str) -> list[Fault]:
    """One fault for all weight types that fail in the same way."""
    found: dict[Verdict, list[str]] = {}
    for name, verdict in weights.items():
        if verdict.mode != "works":
            found.setdefault(verdict, []).append(name)
    outcome = {"safe": "models open in safe mode, slower", "fails": "such models cannot be used"}
    return [
        Fault(
            f"llama.cpp on {where} with {', '.join(names)} weights {verdict.said}: "
            f"{outcome[verdict.mode]}",
            REBUILD,
        )
        for verdict, names in found.items()
    ]


def _idle_cards(cards: Sequence[Any]) -> list[Fault]:
    there = nvidia_cards.cards()
    if cards or not there:
        return []
    what = f"{there[0].name} is there and llama.cpp, built without CUDA, cannot use it"
    ready = ready_made.command(ready_made.kind_for(there[0].cuda))
    return [Fault(what, f"{ready}; or make install BACKEND=cuda in a fresh clone (needs nvcc)")]


def _wheels() -> list[Fault]:
    both = ("onnxruntime", "onnxruntime-gpu")
    if not all(map(_installed, both)):
        return []
    return [
        Fault(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other",
            f"pip uninstall {' '.join(both)}; then install one, as the README says",
        )
    ]


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _compiler() -> str:
    """What the CPU's kernels were compiled by, as the library's own notes tell."""
    for path in sorted(library_folder().glob("*ggml-cpu*")):
        for gcc, clang in COMPILER.findall(path.read_bytes()):
            return f"GCC {gcc.decode()}" if gcc else f"clang {clang.decode()}"
    return "a compiler that left no note"
