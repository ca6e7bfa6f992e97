"""What search gains over greedy decoding of the same weights, by question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from methods import catalog
from methods.catalog import ProtocolName
from profiles.intervals import Paired
from profiles.records.configuration import wanted
from profiles.records.stored_run import Recorded
from profiles.report.accuracy import pair, row
from profiles.report.names import level_and_cache
from profiles.report.recovery import GREEDY, is_greedy, weights_and_cache
from profiles.report.rows import Row


@dataclass(frozen=True, slots=True)
class Gain:
    """One search without thoughts, and greedy decoding at its level."""

    row: Row
    greedy: Row
    paired: Paired

    @property
    def times(self) -> float | None:
        """Operations of the search over those of greedy decoding."""
        ours, theirs = self.row.cost.flops_per_question, self.greedy.cost.flops_per_question
        return ours / theirs if ours and theirs else None

    def document(self) -> dict[str, Any]:
        """The gain as JSON data."""
        setup = self.row.setup
        names = {"format": setup.format, "level": level_and_cache(self.row), "method": setup.method}
        return names | {"width": setup.width, "times": self.times} | asdict(self.paired)


def gains(measured: Sequence[Recorded], methods: Sequence[str]) -> Iterator[Gain]:
    """Every method that was asked for, at every level that has a greedy run."""
    fair = [one for one in measured if one.configuration.protocol is ProtocolName.FAIR]
    plain = [one for one in fair if one.configuration.thinking == "off"]
    for greedy in filter(is_greedy, plain):
        for one in plain:
            same = weights_and_cache(one) == weights_and_cache(greedy)
            if one is greedy or not same:
                continue
            for selection in wanted(one.configuration, methods):
                shown = catalog.shown_name(one.configuration.spec.search, selection)
                paired = pair(greedy.records, one.records, selection, GREEDY)
                if shown in catalog.METHODS and paired is not None:
                    yield Gain(
                        row(one.configuration, one.process, one.records, selection),
                        row(greedy.configuration, greedy.process, greedy.records, GREEDY),
                        paired,
                    )
