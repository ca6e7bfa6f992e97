"""The machines of one run, where there were several, and of which kind each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from convert.refusal import Refusal
from profiles.records.record import Record


def kind(environment: Mapping[str, Any]) -> str:
    """What makes two machines equally fast: processor, usable threads, cards."""
    cards = Counter(card["name"] for card in environment["gpus"])
    parts = [f"{environment['cpu']}, {environment['usable_threads']} threads"]
    parts += [f"{count} x {name}" for name, count in cards.items()]
    return ", ".join(parts)


def by_host(
    records: Sequence[Record], hosts: Sequence[Mapping[str, Any]]
) -> dict[int, list[Record]]:
    """The records of every machine that has some.

    Raises:
        Refusal: if a record is of none of them.
    """
    found: dict[int, list[Record]] = {}
    for record in records:
        host = record.host or 0  # what was answered before there were several is of the first
        if host >= len(hosts):
            raise Refusal(f"the record of question {record.id} names no machine of this run")
        found.setdefault(host, []).append(record)
    return dict(sorted(found.items()))
