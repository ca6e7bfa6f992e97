"""Where search takes back what quantization lost: against the loss of greedy decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from methods import catalog
from methods.catalog import ProtocolName, Selection
from profiles.intervals import Paired, adjusted_wald
from profiles.records.configuration import wanted
from profiles.records.record import Record
from profiles.records.stored_run import Recorded
from profiles.report.accuracy import pair, row
from profiles.report.names import level_and_cache
from profiles.report.rows import Row
from runtime.options import KvType

GREEDY = catalog.GREEDY.selection


@dataclass(frozen=True, slots=True)
class Recovery:
    """One search at one level. `taken_back` is greedy's loss less the search's, by question."""

    row: Row
    greedy: Row  # at the same level
    full: Row  # greedy in the baseline
    taken_back: float
    low: float
    high: float
    against_full: Paired  # the search here against greedy in the baseline

    @property
    def lossy(self) -> bool:
        """Whether greedy decoding surely lost at this level."""
        return self.greedy.change is not None and self.greedy.change.delta_high < 0

    def document(self) -> dict[str, Any]:
        return {
            "format": self.row.setup.format,
            "level": level_and_cache(self.row),
            "method": self.row.setup.method,
            "width": self.row.setup.width,
            "thinking": self.row.setup.thinking,
            "taken_back": self.taken_back,
            "taken_back_low": self.low,
            "taken_back_high": self.high,
            "against_full_greedy": asdict(self.against_full),
        }


def recoveries(measured: Sequence[Recorded], methods: Sequence[str]) -> Iterator[Recovery]:
    """Every search whose level has a greedy run, and whose baseline and greedy's were measured.

    Only what ran on the same weights as greedy: a thinker beside another policy is left out.
    """
    fair = [one for one in measured if one.configuration.protocol is ProtocolName.FAIR]
    full = next((one for one in fair if one.configuration.baseline and is_greedy(one)), None)
    if full is None:
        return
    for plain in fair:
        if plain.configuration.baseline or not is_greedy(plain):
            continue
        for one in fair:
            same = weights_and_cache(one) == weights_and_cache(plain)
            base = next((b for b in fair if _baseline_of(one, b)), None)
            if one is plain or not same or base is None:
                continue
            for selection in wanted(one.configuration, methods):
                if catalog.shown_name(one.configuration.spec.search, selection) in catalog.METHODS:
                    found = _recovery(one, base, plain, full, selection)
                    if found is not None:
                        yield found


def _recovery(
    one: Recorded,
    base: Recorded,
    plain: Recorded,
    full: Recorded,
    selection: Selection,
) -> Recovery | None:
    """None if there is no question that all four have answered."""
    here, before = _right(one.records, selection), _right(base.records, selection)
    greedy, unhurt = _right(plain.records, GREEDY), _right(full.records, GREEDY)
    common = [i for i in here if i in before and i in greedy and i in unhurt]
    against = pair(full.records, one.records, selection, GREEDY)
    if not common or against is None:
        return None
    changes = [(here[i] - before[i]) - (greedy[i] - unhurt[i]) for i in common]
    low, high = adjusted_wald(changes)
    return Recovery(
        row(one.configuration, one.process, one.records, selection, base.records),
        row(plain.configuration, plain.process, plain.records, GREEDY, full.records),
        row(full.configuration, full.process, full.records, GREEDY),
        fmean(changes),
        low,
        high,
        against,
    )


def weights_and_cache(one: Recorded) -> tuple[Path, KvType]:
    """What searches must share to be compared as searches."""
    return one.configuration.policy, one.configuration.options.kv_type


def is_greedy(one: Recorded) -> bool:
    """Whether a run is of greedy decoding without thoughts."""
    search = one.configuration.spec.search
    return search == catalog.GREEDY.search.name and one.configuration.thinking == "off"


def _baseline_of(one: Recorded, base: Recorded) -> bool:
    ours, theirs = one.configuration, base.configuration
    return (
        theirs.baseline
        and not ours.baseline
        and (ours.spec.search, ours.spec.width, ours.thinking)
        == (theirs.spec.search, theirs.spec.width, theirs.thinking)
    )


def _right(records: Sequence[Record], selection: Selection) -> dict[str, int]:
    return {record.id: int(record.verdict(selection).correct) for record in records}
