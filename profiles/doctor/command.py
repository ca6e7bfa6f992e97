"""The `profile doctor` command."""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convert.printing import say
from convert.refusal import Refusal

if TYPE_CHECKING:
    from convert.selftest import Verdict
    from profiles.doctor.measure import Health


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    p = commands.add_parser(
        "doctor",
        help="what works on this machine, and what mends the rest",
        description="Look at this installation; exit code 1 if something is wrong. Every weight "
        "type is tried in llama.cpp, once for each library and processor.",
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.set_defaults(body=_doctor)


def _doctor(options: argparse.Namespace, _given: Sequence[str]) -> None:
    from profiles.doctor.measure import examine

    health = examine()
    say(json.dumps(asdict(health), ensure_ascii=False) if options.json else text(health))
    if health.faults:
        count = len(health.faults)
        raise Refusal(f"{count} thing{'s are' if count > 1 else ' is'} wrong here")


def text(health: Health) -> str:
    """One screen."""
    gib = 1 << 30
    llama = health.native.get("llama.cpp", {})
    cards = llama.get("cards", [])
    rows = [
        ("machine", f"{health.cpu}, {health.cores} cores, {health.ram_bytes / gib:.1f} GiB"),
        ("system", health.system),
        ("packages", ", ".join(f"{k} {v}" for k, v in health.packages.items())),
        ("llama.cpp", f"commit {llama.get('commit', '?')}, built by {health.compiler}"),
        ("", _features(llama.get("system", "")) or "cannot be loaded"),
        *_weights("weights", health.weights),
        *(("card", f"{c[0]}, {c[1] / gib:.1f} of {c[2] / gib:.1f} GiB free") for c in cards),
        *_weights("on the card", health.card_weights),
        *([] if cards else [("card", "none that llama.cpp can use")]),
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
