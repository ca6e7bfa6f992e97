"""A run cut into items, and who takes which."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from convert.refusal import Refusal
from profiles.records.configuration import Configuration
from profiles.run.cluster import ClusterRun, run_on_ray, slots
from profiles.run.station import ItemResult
from profiles.run.work import Backlog, WorkItem, next_backlog, work_items

Made = Callable[..., Configuration]


@pytest.fixture
def made(configuration: Made, tmp_path: Path) -> Configuration:
    data = tmp_path / "problems.jsonl"
    lines = [json.dumps({"question": f"Q{n}?", "answer": "#### 5"}) for n in range(40)]
    data.write_text("\n".join(lines))
    return configuration("sample", width=2, data=data)


def test_questions_at_once_stay_in_their_cohorts(made: Configuration) -> None:
    """Also when some are done: a cohort runs again as a whole, as it does on one machine."""
    items = work_items(replace(made, parallel=3, latency_questions=14), {"1", "13"})
    assert [len(item.ids) for item in items] == [12, 12, 12, 4]
    assert [item.configuration.latency_questions for item in items] == [12, 2, 0, 0]
    done = {str(n) for n in range(12)}
    assert work_items(replace(made, parallel=3), done)[0].ids[0] == "12"


def test_one_by_one_only_what_is_missing_runs(made: Configuration) -> None:
    items = work_items(made, {str(n) for n in range(5, 40)})
    assert [item.ids for item in items] == [("0", "1", "2", "3", "4")]
    assert not work_items(made, {str(n) for n in range(40)})


def test_a_place_keeps_its_models_and_places_spread(made: Configuration) -> None:
    one, two = (
        Backlog(each, set(), work_items(each, set())) for each in (made, replace(made, level="x"))
    )
    assert next_backlog([one, two], two.configuration.slug) is two
    one.running = 1
    assert next_backlog([one, two], None) is two
    two.waiting.clear()
    assert next_backlog([one, two], two.configuration.slug) is one
    one.waiting.clear()
    assert next_backlog([one, two], None) is None


def test_a_worker_has_a_card_or_its_threads() -> None:
    found = slots("n", {"CPU": 16.0, "GPU": 2.0}, None, "auto")
    assert [(slot.cpus, slot.gpus) for slot in found] == [(8, 1), (8, 1)]
    found = slots("n", {"CPU": 7.0, "GPU": 2.0}, 3, "cpu")
    assert [(slot.cpus, slot.gpus) for slot in found] == [(3, 0), (3, 0)]
    assert [slot.cpus for slot in slots("n", {"CPU": 7.0}, None, "auto")] == [7]
    assert slots("n", {}, None, "auto") == []


def test_without_ray_there_is_one_line(
    made: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "records").mkdir()
    with pytest.raises(Refusal, match=r"--ray needs Ray; pip install 'starbase-edge\[ray\]'"):
        run_on_ray(tmp_path, [made], "", {})


class Unlucky:
    """A cluster of one slot, each of whose workers is lost at once."""

    def __init__(self) -> None:
        self.slots = slots("n", {"CPU": 1.0}, None, "cpu")
        self.asked: list[tuple[str, ...]] = []

    def look(self) -> None: ...

    def start(self, _slot: object, item: WorkItem) -> int:
        self.asked.append(item.ids)
        return len(self.asked)

    def ended(self, running: list[int]) -> int:
        return running[0]

    def result(self, _reference: int) -> ItemResult | None:
        return None


def test_an_item_that_kills_three_workers_fails_its_configuration(
    made: Configuration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Unlucky()
    failures = ClusterRun(tmp_path, [made], {"hosts": []}).run(cluster)  # type: ignore[arg-type]
    assert [failure.slug for failure in failures] == [made.slug]
    assert "3 workers died at questions 0, 1, 2" in failures[0].reason
    assert len(cluster.asked) == 3
    assert capsys.readouterr().err.count("lost the worker") == 3
