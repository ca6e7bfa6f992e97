"""Many questions at once: the same records again, whatever was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from methods.opened import Models
from profiles.records.configuration import Configuration
from profiles.records.record import Record, read_records
from profiles.records.worker_facts import read_worker_facts, worker_facts_path
from profiles.report.accuracy import row
from profiles.run.events import Answered, Event
from profiles.run.together import alone_path, cohorts
from profiles.run.worker import measure
from runtime.load import open_engine
from runtime.options import EngineOptions
from tests.conftest import BENCHMARK
from tests.profiles.run.scripted import scripted
from tests.profiles.run.test_worker import answers

Made = Callable[..., Configuration]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    lines = [json.dumps({"question": f"Q{n}?", "answer": "#### 5"}) for n in range(12)]
    lines.insert(3, "nonsense")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(params=["sample", "rebase"])
def vote(request: pytest.FixtureRequest, configuration: Made, data: Path) -> Configuration:
    made = configuration(request.param, width=3, data=data)
    spec = replace(made.spec, max_tokens=40)
    return replace(made, spec=spec, seed=3, parallel=2, latency_questions=4)


def by_id(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: int(record.id))


def test_company_changes_nothing_but_the_clock(vote: Configuration, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone.jsonl", tmp_path / "together.jsonl"
    measure(replace(vote, parallel=1), alone, opener=scripted)
    measure(vote, together, opener=scripted)
    found = by_id(read_records(together))
    assert answers(found) == answers(read_records(alone))
    assert [record.id for record in found if record.alone] == ["0", "1", "2", "4"]
    assert all(record.alone.same and record.alone.latency_s > 0 for record in found if record.alone)
    assert len(read_records(alone_path(together))) == 4
    facts = read_worker_facts(worker_facts_path(together))
    assert facts.together_questions == 13
    made = row(vote, facts, found, vote.primary)
    assert made.at_once is not None
    assert (made.at_once.parallel, made.at_once.timed, made.at_once.timed_same) == (2, 4, 4)
    assert made.at_once.questions_per_min is not None
    assert made.cost.latency_mean_s is not None
    assert made.cost.latency_mean_s < max(r.alone.latency_s for r in found if r.alone) * 1.01


@pytest.mark.parametrize("stop", [0, 3, 9, 10])
def test_an_interrupted_run_ends_the_same(vote: Configuration, tmp_path: Path, stop: int) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    measure(vote, whole, opener=scripted)
    count = 0

    def interrupt(event: Event) -> None:
        nonlocal count
        count += isinstance(event, Answered)
        if count > stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(vote, broken, interrupt, scripted)
    assert len(read_records(broken)) == stop + 1
    measure(vote, broken, opener=scripted)
    assert answers(by_id(read_records(broken))) == answers(by_id(read_records(whole)))


def test_a_resumed_run_on_a_model_gives_the_same_rows(
    configuration: Made, reference: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """To the bit: the quantized kernels round by company, and the company is the same."""
    path = reference("policy", "q4_k_m")
    options = EngineOptions(device="cpu", context=2048, max_branches=64, threads=1)
    made = configuration("sample", width=2, data=BENCHMARK)
    spec = replace(made.spec, max_tokens=60, selection="majority")
    made = replace(made, spec=spec, reward=None, limit=12, parallel=2, latency_questions=0)

    @contextmanager
    def opener(_: Configuration) -> Iterator[Models]:
        with open_engine(path, options) as engine:
            yield Models(engine, None)

    whole, again, broken = (tmp_path / f"{name}.jsonl" for name in ("whole", "again", "broken"))
    measure(made, whole, opener=opener)
    measure(made, again, opener=opener)
    lines = whole.read_text().splitlines(keepends=True)
    broken.write_text("".join([*lines[:3], *lines[9:10]]))
    measure(made, broken, opener=opener)
    first = read_records(whole)
    assert answers(read_records(again)) == answers(first)  # in the same order, too
    assert answers(by_id(read_records(broken))) == answers(by_id(first))


def test_cohorts_do_not_depend_on_what_was_done() -> None:
    assert list(map(len, cohorts([None] * 50, 4))) == [16, 16, 16, 2]  # type: ignore[list-item]
