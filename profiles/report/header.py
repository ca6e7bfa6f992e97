"""The heading of a report: what was run, where, and what a reader has to know first."""

from __future__ import annotations

import json
from dataclasses import asdict

from convert.artifact import PromptFormat
from methods.catalog import ProtocolName
from profiles.environment import Environment
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
    return f"What quantization changes: {summary.run.models.policy}"


def subtitle(summary: Summary) -> str:
    """How much, when and where, in one line."""
    system = summary.run.environment
    where = ", ".join(card.name for card in system.gpus) or system.cpu
    levels = len({level_name(row) for row in summary.rows})
    return (
        f"{_counted(summary.n, 'question')} of {summary.run.data.name} · "
        f"{_counted(levels, 'level')} · {_counted(len(summary.rows), 'row')} · {where} · "
        f"{system.date[:10]}"
    )


def warnings(summary: Summary) -> list[str]:
    """What makes a report incomplete."""
    found = [
        f"{failure.slug} failed and is missing or incomplete: {failure.reason}"
        for failure in summary.run.failures
    ]
    wanted = summary.run.questions
    short = sorted(
        {f"{level_and_cache(r)} {r.setup.method}: {r.n}" for r in summary.rows if r.n < wanted}
    )
    if short:
        found.append(f"Not all {wanted} questions were answered everywhere ({'; '.join(short)}).")
    missing = len(summary.run.configurations) - summary.measured
    if missing:
        found.append(f"{missing} configurations were not run; profile run --resume goes on.")
    found += [f"{slug}: {UNBRANCHED}" for slug in summary.unbranched]
    if not any(row.setup.format == "torch" and row.setup.baseline for row in summary.rows):
        found.append(
            "There is no full-precision run in this report; differences are against "
            "the first level, not against the original weights."
        )
    return found


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Name and value of all that a repetition needs."""
    run, system = summary.run, summary.run.environment
    cards = [f"{card.name}, {card.memory}, driver {card.driver}" for card in system.gpus]
    devices = sorted({f"{row.setup.format}: {row.device}" for row in summary.rows})
    return [
        ("command", run.command),
        ("policy", run.models.policy),
        ("reward model", run.models.reward or "none"),
        ("thinker", run.models.thinker or "none"),
        ("questions", f"{run.data.name}, sha256 {run.data.sha256}"),
        ("seed", f"{run.seed}; each question has its own, the same at every level"),
        ("protocol", "; ".join(f"{p.word}: {PROTOCOLS[p]}" for p in run.protocols)),
        ("prompt", "; ".join(map(_prompt, summary.prompts)) or "not recorded"),
        ("search", ", ".join(f"{k} {v}" for k, v in run.search.items())),
        ("processor", f"{system.cpu}, {_cores(system)}, {size(system.ram_bytes)}"),
        ("graphics card", "; ".join(cards) or "none"),
        ("ran on", "; ".join(devices)),
        ("system", f"{system.system}, Python {system.python}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in system.packages.items())),
        ("commit", system.commit or "not from a checkout"),
        ("date", system.date),
    ]


def _prompt(form: PromptFormat) -> str:
    """A way of asking, in one line: what is None is left out, texts are quoted."""
    stated = {key: value for key, value in asdict(form).items() if value not in (None, 0)}
    return ", ".join(f"{k} {json.dumps(v, ensure_ascii=False)}" for k, v in stated.items())


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _cores(system: Environment) -> str:
    return f"{system.cores} cores, {system.usable_threads} threads usable"
