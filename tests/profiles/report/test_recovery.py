"""What search takes back, by hand on twenty questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from profiles.records.configuration import Configuration
from profiles.records.record import Record
from profiles.records.stored_run import Recorded
from profiles.records.worker_facts import WorkerFacts
from profiles.report import recovery_sentences
from profiles.report.recovery import Recovery, recoveries

N = 20
GREEDY = ("greedy", "rebase")
# Right answers: greedy falls from 16 to 4, REBASE from 18 to 14.
RIGHT = {
    ("f32", "greedy"): set(range(16)),
    ("q2_k", "greedy"): set(range(4)),
    ("f32", "rebase"): set(range(18)),
    ("q2_k", "rebase"): set(range(14)),
}


@pytest.fixture
def measured(
    configuration: Callable[..., Configuration],
    process: Callable[..., WorkerFacts],
    record: Callable[..., Record],
) -> list[Recorded]:
    def one(level: str, search: str) -> Recorded:
        made = configuration(search, level)
        records = [
            record(n, made, dict.fromkeys(made.selections, n in RIGHT[level, search]))
            for n in range(N)
        ]
        return Recorded(made, process(level, judged=search == "rebase"), tuple(records))

    return [one(level, search) for level, search in RIGHT]  # type: ignore[arg-type]


@pytest.fixture
def found(measured: list[Recorded]) -> Recovery:
    (only,) = recoveries(measured, GREEDY)
    return only


def test_taken_back_is_greedys_loss_less_the_searchs(found: Recovery) -> None:
    """Greedy loses 12 of 20, REBASE 4: 8 of 20 are taken back."""
    assert (found.row.setup.method, found.row.setup.level) == ("rebase", "q2_k")
    assert found.greedy.change is not None
    assert found.greedy.change.delta_accuracy == pytest.approx(-12 / 20)
    assert found.row.change is not None
    assert found.row.change.delta_accuracy == pytest.approx(-4 / 20)
    assert found.taken_back == pytest.approx(8 / 20)
    assert found.against_full.difference == pytest.approx(-2 / 20)


def test_its_interval_is_that_of_paired_changes(found: Recovery) -> None:
    """Questions 4 to 13 changed by +1, 16 and 17 by −1; then one of each is added."""
    changes = np.array([0] * 4 + [1] * 10 + [0] * 2 + [-1] * 2 + [0] * 2 + [1, -1])
    reach = norm.ppf(0.975) * changes.std() / np.sqrt(len(changes))
    expected = (changes.mean() - reach, changes.mean() + reach)
    assert (found.low, found.high) == pytest.approx(expected)


def test_it_is_said_and_tabled(found: Recovery) -> None:
    (sentence,) = recovery_sentences.sentences([found])
    assert sentence.startswith("gguf q2_k: greedy −60.0 [")
    assert "REBASE w=8 +40.0 [" in sentence
    assert "No different from greedy decoding in the baseline: REBASE w=8." in sentence
    titles, line = recovery_sentences.table([found])
    assert len(titles) == len(line)
    assert line[:4] == ["gguf q2_k", "REBASE w=8", "−60.0", "−20.0"]


def test_where_greedy_lost_nothing_there_is_nothing_to_take_back(found: Recovery) -> None:
    assert found.greedy.change is not None
    unsure = replace(found.greedy.change, delta_high=0.01)
    kept = replace(found, greedy=replace(found.greedy, change=unsure))
    assert recovery_sentences.sentences([kept]) == [
        "At gguf q2_k no loss of greedy decoding was detected to take back."
    ]
    assert recovery_sentences.table([kept]) == []


def test_other_weights_are_left_out(measured: list[Recorded]) -> None:
    """A thinker beside another policy took nothing back of that policy's loss."""
    *others, last = measured
    stranger = replace(last, configuration=replace(last.configuration, policy=Path("/t.gguf")))
    assert list(recoveries([*others, stranger], GREEDY)) == []
    assert list(recoveries(others[:1] + others[2:], GREEDY)) == []  # no greedy at the level
