"""Which machine answered what, where a run had several."""

from __future__ import annotations

from collections.abc import Sequence

from convert.refusal import Refusal
from profiles.environment import Environment
from profiles.records.record import Record


def by_host(records: Sequence[Record], hosts: Sequence[Environment]) -> dict[int, list[Record]]:
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
