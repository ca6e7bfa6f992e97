"""The six systems of arXiv 2412.16260, its published figures, and its first 128 questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from methods.build import MethodSpec, ProtocolName, Search, seed_spec
from methods.candidate import Selection
from profiles.documents import markdown_table
from profiles.rows import Row
from profiles.tables import accuracy_cell, level_name, significant
from runtime.options import Thinking

QUESTIONS = 128
SHUFFLE = 42
TOKENS = 384  # of a path, under both protocols
PROTOCOLS: tuple[ProtocolName, ...] = ("seed", "fair")
METHODS = ("majority", "rebase")


@dataclass(frozen=True, slots=True)
class System:
    """One row of the paper's table: 128 GSM8K questions, Mistral-7B, one A100."""

    name: str
    thinking: Thinking
    search: Search
    width: int
    accuracy: float
    tflop: float  # by the paper's count
    seconds: float


SYSTEMS = (
    System("baseline, 6 votes", "off", "sample", 6, 0.1016, 11.22, 52.47),
    System("Quiet-STaR, 6 votes", "on", "sample", 6, 0.3203, 12.73, 554.66),
    System("REBASE w=3", "off", "rebase", 3, 0.1094, 2.35, 8.47),
    System("REBASE w=6", "off", "rebase", 6, 0.1016, 4.96, 17.82),
    System("REBASE w=16", "off", "rebase", 16, 0.1250, 13.57, 46.90),
    System("REBASE + Quiet-STaR, w=6", "on", "rebase", 6, 0.0938, 4.25, 143.66),
)
TITLES = (
    "system",
    "published % right",
    "TFLOP, their count",
    "s",
    "protocol",
    "% right [95 % CI]",
    "GFLOP, their count",
    "GFLOP (est.), all work",
    "s p50",
    "tokens decoded / thought",
)


def cells(spec: MethodSpec) -> Iterator[tuple[Thinking, MethodSpec]]:
    """Every system under both protocols; `spec` is what the fair one adds."""
    for protocol in PROTOCOLS:
        for system in SYSTEMS:
            if protocol == "seed":
                yield system.thinking, seed_spec(system.search, system.width)
            else:
                fair = replace(spec, search=system.search, width=system.width, max_tokens=TOKENS)
                rule: Selection = "weighted" if system.search == "rebase" else "majority"
                yield system.thinking, replace(fair, selection=rule)


def table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Titles, then each system's published figures beside ours, per level and protocol."""
    lines: list[tuple[str, ...]] = [TITLES]
    for level in dict.fromkeys((row.format, row.level) for row in rows):
        here = [row for row in rows if (row.format, row.level) == level]
        for system in SYSTEMS:
            for protocol in PROTOCOLS:
                lines += [_line(system, row) for row in here if _is(system, protocol, row)]
    return lines


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    head, *lines = table(rows)
    return markdown_table(head, lines)


def _is(system: System, protocol: ProtocolName, row: Row) -> bool:
    chosen = {"seed": ("majority", "rebase-best"), "fair": ("majority", "rebase")}[protocol]
    return (
        (row.thinking, row.search, row.width) == (system.thinking, system.search, system.width)
        and row.protocol == protocol
        and row.method in chosen
    )


def _line(system: System, row: Row) -> tuple[str, ...]:
    decoded, thought = row.decode_tokens_per_question, row.thought_tokens_per_question
    return (
        system.name,
        f"{100 * system.accuracy:.2f}",
        f"{system.tflop:.2f}",
        f"{system.seconds:.2f}",
        f"{row.protocol}, {level_name(row)}",
        accuracy_cell(row),
        significant((row.seed_flops_per_question or 0) / 1e9),
        significant((row.flops_per_question or 0) / 1e9),
        significant(row.latency_p50_s),
        f"{decoded or 0:.0f} / {thought or 0:.0f}",
    )
