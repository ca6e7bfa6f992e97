"""The table of arXiv 2412.16260: its published figures beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from methods.catalog import ProtocolName, shown_name
from profiles.paper_suite import PROTOCOLS, SYSTEMS, System
from profiles.report.columns import accuracy_cell
from profiles.report.names import level_name
from profiles.report.rows import Row
from profiles.tables import markdown_table
from profiles.text_formats import significant

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


def table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Titles, then each system's published figures beside ours, per level and protocol."""
    lines: list[tuple[str, ...]] = [TITLES]
    for level in dict.fromkeys((row.setup.format, row.setup.level) for row in rows):
        here = [row for row in rows if (row.setup.format, row.setup.level) == level]
        for system in SYSTEMS:
            for protocol in PROTOCOLS:
                lines += [_line(system, row) for row in here if _is(system, protocol, row)]
    return lines


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    head, *lines = table(rows)
    return markdown_table(head, lines)


def _is(system: System, protocol: ProtocolName, row: Row) -> bool:
    search, rule = system.method.search, system.method.selection
    if protocol is ProtocolName.PAPER and search.paper is not None:
        rule = search.paper.selection
    ours = (system.thinking, system.width, protocol, shown_name(search.name, rule))
    return (row.setup.thinking, row.setup.width, row.setup.protocol, row.setup.method) == ours


def _line(system: System, row: Row) -> tuple[str, ...]:
    decoded, thought = row.cost.decode_tokens_per_question, row.cost.thought_tokens_per_question
    return (
        system.name,
        f"{100 * system.accuracy:.2f}",
        f"{system.tflop:.2f}",
        f"{system.seconds:.2f}",
        f"{row.setup.protocol.word}, {level_name(row)}",
        accuracy_cell(row),
        significant((row.cost.seed_flops_per_question or 0) / 1e9),
        significant((row.cost.flops_per_question or 0) / 1e9),
        significant(row.cost.latency_p50_s),
        f"{decoded or 0:.0f} / {thought or 0:.0f}",
    )
