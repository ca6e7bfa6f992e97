"""The heading of a report: what was run, where, and what a reader has to know first."""

from __future__ import annotations

import json
from typing import Any

from methods.catalog import ProtocolName
from profiles.report.names import level_and_cache, level_name
from profiles.report.summary import Summary
from profiles.text_formats import size

PROTOCOLS = {
    ProtocolName.FAIR: "the same prompt, token budget, elicitation and extraction for all",
    ProtocolName.PAPER: "the code of arXiv 2412.16260 with its faults",
}
UNBRANCHED = (
    "in most questions every path was one step, so that nothing was searched; say what ends a "
    "step with --step-stop, or choose a --prompt whose steps the model writes"
)


def title(summary: Summary) -> str:
    """What was measured."""
    return f"What quantization changes: {summary.header['models']['policy']}"


def subtitle(summary: Summary) -> str:
    """How much, when and where, in one line."""
    header, data = summary.header, summary.header["data"]
    system = header["environment"]
    where = ", ".join(gpu["name"] for gpu in system["gpus"]) or system["cpu"]
    levels = len({level_name(row) for row in summary.rows})
    return (
        f"{_counted(data['n'], 'question')} of {data['name']} · {_counted(levels, 'level')} · "
        f"{_counted(len(summary.rows), 'row')} · {where} · {system['date'][:10]}"
    )


def warnings(summary: Summary) -> list[str]:
    """What makes a report incomplete."""
    found = [
        f"{failure['slug']} failed and is missing or incomplete: {failure['reason']}"
        for failure in summary.header.get("failures", [])
    ]
    wanted = summary.header["questions"]
    short = sorted(
        {f"{level_and_cache(r)} {r.setup.method}: {r.n}" for r in summary.rows if r.n < wanted}
    )
    if short:
        found.append(f"Not all {wanted} questions were answered everywhere ({'; '.join(short)}).")
    missing = len(summary.header["configurations"]) - summary.header["measured"]
    if missing:
        found.append(f"{missing} configurations were not run; profile run --resume goes on.")
    found += [f"{slug}: {UNBRANCHED}" for slug in summary.header.get("unbranched", [])]
    if not any(row.setup.format == "torch" and row.setup.baseline for row in summary.rows):
        found.append(
            "There is no full-precision run in this report; differences are against "
            "the first level, not against the original weights."
        )
    return found


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Name and value of all that a repetition needs."""
    header = summary.header
    system, data = header["environment"], header["data"]
    protocols = [ProtocolName(name) for name in header["protocols"]]
    cards = [f"{g['name']}, {g['memory']}, driver {g['driver']}" for g in system["gpus"]]
    devices = sorted({f"{row.setup.format}: {row.device}" for row in summary.rows})
    return [
        ("command", header["command"]),
        ("policy", header["models"]["policy"]),
        ("reward model", header["models"]["reward"] or "none"),
        ("thinker", header["models"].get("thinker") or "none"),
        ("questions", f"{data['name']}, sha256 {data['sha256']}"),
        ("seed", f"{header['seed']}; each question has its own, the same at every level"),
        ("protocol", "; ".join(f"{p.word}: {PROTOCOLS[p]}" for p in protocols)),
        ("prompt", "; ".join(map(_prompt, header.get("prompts", []))) or "not recorded"),
        ("search", ", ".join(f"{k} {v}" for k, v in header["search"].items())),
        ("processor", f"{system['cpu']}, {_cores(system)}, {size(system['ram_bytes'])}"),
        ("graphics card", "; ".join(cards) or "none"),
        ("ran on", "; ".join(devices)),
        ("system", f"{system['system']}, Python {system['python']}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in system["packages"].items())),
        ("commit", system["commit"] or "not from a checkout"),
        ("date", system["date"]),
    ]


def _prompt(form: dict[str, Any]) -> str:
    """A way of asking, in one line: what is None is left out, texts are quoted."""
    stated = {key: value for key, value in form.items() if value not in (None, 0)}
    return ", ".join(f"{k} {json.dumps(v, ensure_ascii=False)}" for k, v in stated.items())


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _cores(system: dict[str, Any]) -> str:
    return f"{system['cores']} cores, {system['usable_threads']} threads usable"
