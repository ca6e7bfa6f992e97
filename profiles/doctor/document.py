"""What works on this machine, as one screen."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from convert.selftest import Verdict
from convert.units import GIB
from profiles.doctor import ready_made
from profiles.doctor.measure import Health
from profiles.text_formats import gib


def text(health: Health) -> str:
    """One screen: what is there, then what is wrong and the command that mends it."""
    llama = health.native.get("llama.cpp", {})
    cards = llama.get("cards", [])
    rows = [
        ("machine", f"{health.cpu}, {health.cores} cores, {gib(health.ram_bytes, 1)}"),
        ("system", health.system),
        ("packages", ", ".join(f"{k} {v}" for k, v in health.packages.items())),
        ("llama.cpp", f"commit {llama.get('commit', '?')}, built by {health.compiler}"),
        ("", _features(llama.get("system", "")) or "cannot be loaded"),
        *_weights("weights", health.weights),
        *(("card", _card(card)) for card in cards),
        *_weights("on the card", health.card_weights),
        *([] if cards else _no_card()),
        ("onnxruntime", ", ".join(health.native.get("onnxruntime", [])) or "not installed"),
        (
            "cache",
            f"{health.cache}: {health.cache_bytes / 1e6:,.0f} MB, "
            f"{health.cache_free_bytes / 1e9:,.0f} GB free",
        ),
    ]
    lines = [f"{name:<12} {value}" for name, value in rows]
    for fault in health.faults:
        lines += ["", f"wrong        {fault.what}", f"mend it      {fault.remedy}"]
    return "\n".join(lines if health.faults else [*lines, "", "nothing is wrong"])


def _card(card: Mapping[str, Any]) -> str:
    free, total = card["free_bytes"] / GIB, card["total_bytes"] / GIB
    return f"{card['name']}, {free:.1f} of {total:.1f} GiB free, by {card['family']}"


def _no_card() -> list[tuple[str, str]]:
    """How to get a llama.cpp for one, without a compiler."""
    kinds = ", ".join(["vulkan", *reversed(ready_made.cuda_kinds())])
    return [
        ("card", "none that llama.cpp can use"),
        ("for a card", f"{ready_made.command('KIND')}, KIND one of {kinds} (docs/gpu.md)"),
    ]


def _features(system: str) -> str:
    """What llama.cpp's system line says is in use: `SSE3 AVX2 FMA OPENMP`."""
    return " ".join(re.findall(r"(\w+) = 1\b", system))


def _weights(title: str, weights: Mapping[str, Verdict]) -> list[tuple[str, str]]:
    """Weight types by what became of them."""
    words = {"works": "work", "safe": "work in safe mode only", "fails": "fail"}
    groups: dict[str, list[str]] = defaultdict(list)
    for name, verdict in weights.items():
        groups[verdict.mode].append(name)
    return [(title, f"{' '.join(groups[mode])}: {words[mode]}") for mode in words if mode in groups]
