"""The folder of a run refuses what would mix or lose results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from profiles.records import stored_run
from profiles.records.configuration import Configuration
from profiles.records.record import Record
from profiles.records.worker_facts import WorkerFacts

Made = Callable[..., Configuration]


def test_a_filled_folder_needs_resume_or_force(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match=r"--resume .*--force"):
        stored_run.check(run_folder, resume=False, force=False)
    stored_run.check(run_folder, resume=True, force=False)
    stored_run.check(run_folder, resume=False, force=True)
    stored_run.check(tmp_path / "new", resume=False, force=False)


def test_force_never_removes_what_no_run_wrote(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="is not a report"):
        stored_run.check(tmp_path, resume=False, force=True)


def test_force_starts_over_and_leaves_other_files(run_folder: Path) -> None:
    (run_folder / "notes.txt").write_text("mine")
    stored_run.prepare(run_folder, force=True)
    assert sorted(path.name for path in run_folder.iterdir()) == ["notes.txt", "records"]
    assert not list((run_folder / "records").iterdir())


def test_other_options_do_not_mix(configuration: Made, tmp_path: Path) -> None:
    stored_run.prepare(tmp_path, force=False)
    made = configuration("sample")
    stored_run.store_configurations(tmp_path, [made])
    stored_run.store_configurations(tmp_path, [replace(made, limit=5)])
    with pytest.raises(ValueError, match=r"seed 0 -> 1.*do not mix"):
        stored_run.store_configurations(tmp_path, [replace(made, seed=1)])


def test_a_smaller_limit_reads_the_first_questions(
    configuration: Made,
    process: Callable[..., WorkerFacts],
    record: Callable[..., Record],
    stored: Callable[..., None],
    tmp_path: Path,
) -> None:
    made = configuration("greedy", limit=2)
    records = [record(n, made, {"greedy": True}) for n in (10, 9, 2)]
    stored(tmp_path / "r", [(made, process(), records)])
    found = stored_run.read_measured(tmp_path / "r", [made.slug])
    assert [r.id for r in found[0].records] == ["2", "9"]


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no run\.json"):
        stored_run.read_run(tmp_path)
