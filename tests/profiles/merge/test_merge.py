"""Shards put together: the run that one machine would have made, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from profiles.cli import main
from profiles.records import stored_run
from profiles.records.configuration import Configuration
from profiles.records.record import read_records
from profiles.records.shard import Shard
from profiles.records.worker_facts import read_worker_facts, worker_facts_path
from profiles.report.summary import summarize
from profiles.run.worker import measure
from tests.profiles.run.scripted import scripted

QUESTIONS = 14


@pytest.fixture
def grid(configuration: Callable[..., Configuration], tmp_path: Path) -> list[Configuration]:
    data = tmp_path / "problems.jsonl"
    lines = [json.dumps({"question": f"Q{n}?", "answer": "#### 5"}) for n in range(QUESTIONS)]
    data.write_text("\n".join(lines))
    made = [
        configuration(search, level, 2, data=data, limit=20)
        for search, level in (("sample", "f32"), ("sample", "q4_k_m"), ("rebase", "q4_k_m"))
    ]
    return [replace(one, spec=replace(one.spec, max_tokens=40)) for one in made]


@pytest.fixture
def shards(grid: list[Configuration], stored: Callable[..., None], tmp_path: Path) -> list[Path]:
    """Three shards, run apart."""
    return [shard_run(grid, stored, tmp_path, Shard(index, 3)) for index in range(3)]


def shard_run(
    grid: list[Configuration], stored: Callable[..., None], place: Path, shard: Shard | None
) -> Path:
    folder = place / (shard.folder if shard else "unbroken")
    made = [replace(one, shard=shard) for one in grid]
    stored(folder, [], methods=["majority", "weighted", "rebase"])
    stored_run.store_configurations(folder, made)
    for one in made:
        measure(one, stored_run.records_path(folder, one), opener=scripted)
    change(folder, questions=len(made[0].problems()), configurations=[one.slug for one in made])
    return folder


def change(folder: Path, **values: Any) -> None:
    path = folder / stored_run.RUN
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def merged(shards: list[Path], out: Path) -> int:
    return main(["merge", *map(str, shards), "-o", str(out)])


def outcomes(folder: Path) -> list[tuple[Any, ...]]:
    """All that is not seconds or bytes."""
    return [
        (r.setup, r.n, r.accuracy, r.accuracy_strict, r.change, r.counts, r.cost.flops_per_question)
        for r in summarize(folder).rows
    ]


def test_the_shards_are_the_unbroken_run(
    grid: list[Configuration], shards: list[Path], stored: Callable[..., None], tmp_path: Path
) -> None:
    unbroken = shard_run(grid, stored, tmp_path, None)
    assert merged(shards[::-1], tmp_path / "report") == 0
    assert outcomes(tmp_path / "report") == outcomes(unbroken)
    for one in grid:
        path = stored_run.records_path(tmp_path / "report", one)
        assert [r.id for r in read_records(path)] == [str(n) for n in range(QUESTIONS)]
        assert {r.host for r in read_records(path)} == {0, 1, 2}
    stored_run.store_configurations(tmp_path / "report", grid)  # the digests are an unsharded run's
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["header"]["questions"] == QUESTIONS
    assert sum(line["n"] for line in summary["hosts"]) == QUESTIONS * len(summary["rows"])
    assert summary["rows"][0]["latency_mean_s"] is not None  # all of one kind


def test_two_kinds_of_machine_have_no_common_latency(shards: list[Path], tmp_path: Path) -> None:
    """The seconds of every machine stay; the row has none."""
    out = tmp_path / "report"
    environment = json.loads((shards[0] / stored_run.RUN).read_text())["environment"]
    card = {"name": "A Card", "memory": "1 MiB", "driver": "1"}
    change(shards[2], environment=environment | {"gpus": [card]})
    for path in shards[2].glob("records/*.jsonl"):
        lines = [json.loads(line) | {"latency_s": 1000.0} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert merged(shards, out) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert all(row["latency_mean_s"] is None for row in summary["rows"])
    assert all(row["decode_tok_per_s"] is None for row in summary["rows"])
    means = {line["host"]: line["latency_mean_s"] for line in summary["hosts"]}
    assert means[2] == 1000.0
    assert max(means[0], means[1]) < 10
    page = (out / "report.md").read_text()
    assert "Speed on each kind of machine" in page
    assert "1 x A Card" in page
    assert "Speed on each kind of machine" in (out / "index.html").read_text()


def test_questions_at_once_are_no_unsharded_run(
    grid: list[Configuration], stored: Callable[..., None], tmp_path: Path
) -> None:
    """Each shared its calls with others of its shard; the merged run says so and sums the pace."""
    grid = [replace(one, parallel=2, latency_questions=1) for one in grid[:1]]
    shards = [shard_run(grid, stored, tmp_path, Shard(index, 2)) for index in range(2)]
    out = tmp_path / "report"
    assert merged(shards, out) == 0
    whole = replace(grid[0], shard=Shard(None, 2))
    stored_run.store_configurations(out, [whole])
    with pytest.raises(ValueError, match="shard"):
        stored_run.store_configurations(out, grid)
    facts = read_worker_facts(worker_facts_path(stored_run.records_path(out, whole)))
    assert facts.together_questions == QUESTIONS
    assert summarize(out).rows[0].at_once is not None


def test_refusals_name_the_shard(
    shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    double = tmp_path / "copy"
    (double / "records").mkdir(parents=True)
    for path in shards[1].glob("records/*"):
        (double / "records" / path.name).write_bytes(path.read_bytes())
    (double / stored_run.RUN).write_bytes((shards[1] / stored_run.RUN).read_bytes())
    said = {}
    for name, given in {"missing": shards[:1], "double": [*shards, double]}.items():
        assert merged(given, out) == 1
        said[name] = capsys.readouterr().err
    assert "missing: shard 1/3, 2/3; see profile run --shard 1/3" in said["missing"]
    assert "are both shard 1/3" in said["double"]
    path = next(double.glob("records/*q4_k_m-sample-2.json"))
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"policy_fingerprint": "another"}))
    assert merged([shards[0], double, shards[2]], out) == 1
    assert "policy_fingerprint policy q4_k_m -> another" in capsys.readouterr().err
    path.write_text(json.dumps(stored | {"limit": 10}))
    assert merged([shards[0], double, shards[2]], out) == 1
    assert "limit 20 -> 10" in capsys.readouterr().err
    assert not out.exists()


def test_a_question_in_two_shards_is_refused(
    shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = (next(s.glob("records/*rebase-2.jsonl")) for s in shards[:2])
    mine.write_bytes(mine.read_bytes() + theirs.read_bytes().splitlines(keepends=True)[0])
    assert merged(shards, tmp_path / "report") == 1
    assert "remove one" in capsys.readouterr().err


def test_an_unfinished_shard_is_told(
    shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(shards[1].glob("records/*rebase-2.jsonl"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert merged(shards, tmp_path / "report") == 0
    assert "shard 1/3 lacks answers under 1 of 3 configurations" in capsys.readouterr().err
    assert f"Not all {QUESTIONS} questions" in (tmp_path / "report" / "report.md").read_text()


def test_a_run_without_shards_is_no_shard(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merged([run_folder], tmp_path / "out") == 1
    assert "is no shard of a run" in capsys.readouterr().err
