"""The seconds of a run on several machines: of each alone, never averaged over two kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from profiles.documents import Document
from profiles.environment import Environment
from profiles.flat_rows import flat
from profiles.records.configuration import wanted
from profiles.records.hosts import by_host
from profiles.records.stored_run import Recorded
from profiles.report.accuracy import row
from profiles.report.names import level_name, method_name
from profiles.report.rows import Row, Setup
from profiles.text_formats import milliseconds, significant

TIMES = (
    "latency_p50_s",
    "latency_p95_s",
    "latency_mean_s",
    "ttft_p50_s",
    "prefill_tok_per_s",
    "decode_tok_per_s",
)


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one machine, or all of one kind, answered under one row's configuration."""

    machine: str  # its kind
    host: int | None  # its number in the header; None: all of the kind
    row: Row


def mixed(hosts: Sequence[Environment]) -> bool:
    """Whether there are machines of several kinds."""
    return len({host.kind for host in hosts}) > 1


def untimed(timed: Row) -> Row:
    """A row without what depends on the machine's speed."""
    cost = replace(timed.cost, **dict.fromkeys((*TIMES, "sampling_share")))
    at_once = timed.at_once
    if at_once is not None:
        at_once = replace(at_once, questions_per_min=None, run_tok_per_s=None)
    return replace(timed, cost=cost, at_once=at_once)


def speeds(
    measured: Sequence[Recorded],
    hosts: Sequence[Environment],
    methods: Sequence[str],
    *,
    each: bool,
) -> list[Speed]:
    """Every row on each machine, or on all machines of each kind."""
    found: list[Speed] = []
    for one in measured:
        groups: dict[tuple[str, int | None], list[Any]] = {}
        for host, records in by_host(one.records, hosts).items():
            key = hosts[host].kind, host if each else None
            groups.setdefault(key, []).extend(records)
        for selection in wanted(one.configuration, methods):
            for (machine, number), records in groups.items():
                made = row(one.configuration, one.process, records, selection)
                found.append(Speed(machine, number, made))
    return found


def lines(found: Sequence[Speed]) -> list[dict[str, Any]]:
    """Flat, for programs."""
    shown = (*(field.name for field in fields(Setup)), "n", *TIMES)
    flats = [(speed, flat(speed.row)) for speed in found]
    return [
        {"host": speed.host, "machine": speed.machine} | {name: line[name] for name in shown}
        for speed, line in flats
    ]


def document(found: Sequence[Speed], header: Mapping[str, Any]) -> Document:
    """The seconds on every kind of machine, as the report shows them."""
    table = [["level", "method", "machine", "n", "s p50 / p95", "TTFT ms", "decode tok/s"]]
    for speed in found:
        made, cost = speed.row, speed.row.cost
        seconds = f"{significant(cost.latency_p50_s)} / {significant(cost.latency_p95_s)}"
        times = (seconds, milliseconds(cost.ttft_p50_s), significant(cost.decode_tok_per_s))
        table.append([level_name(made), method_name(made), speed.machine, str(made.n), *times])
    said = ["Seconds of different kinds of machine are never averaged: the main table has none."]
    return Document("Speed on each kind of machine", header, lines(found), table, said, texts=3)
