"""A run that version 0.1.0 measured: it goes on, and its report says the same."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.sources import BENCHMARK
from methods.opened import Models
from profiles.records.configuration import Configuration, read_configuration
from profiles.records.stored_run import records_path, store_configurations
from profiles.report.write import write
from profiles.run.worker import measure

OLD = Path(__file__).parent / "old_run"
DIGESTS = dict(
    reversed(line.split())
    for line in (OLD / "digests.txt").read_text(encoding="utf-8").splitlines()
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The run without its report."""
    shutil.copytree(OLD, tmp_path / "run", ignore=shutil.ignore_patterns("summary.*"))
    return tmp_path / "run"


def rounded(path: Path) -> dict[str, Any]:
    content = path.read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(
        content, parse_float=lambda text: float(f"{float(text):.9g}")
    )
    return found


def nothing_opens(_: Configuration) -> AbstractContextManager[Models]:
    raise AssertionError("a question that has its record is not asked again")


@pytest.mark.parametrize("slug", DIGESTS)
def test_a_configuration_keeps_its_digest_and_its_name(slug: str) -> None:
    configuration = read_configuration(OLD / "records" / f"{slug}.json")
    assert configuration.digest() == DIGESTS[slug]
    assert configuration.slug == slug


@pytest.mark.parametrize("slug", DIGESTS)
def test_it_resumes_without_asking_again(slug: str, run: Path) -> None:
    old = read_configuration(OLD / "records" / f"{slug}.json")
    now = replace(old, policy=Path("elsewhere") / old.policy.name, data=BENCHMARK)
    store_configurations(run, [now])
    records = records_path(run, now)
    before = records.read_bytes()
    measure(now, records, opener=nothing_opens)
    assert records.read_bytes() == before


def test_its_summary_is_what_it_was(run: Path) -> None:
    write(run)
    new = rounded(run / "summary.json")
    old = rounded(OLD / "summary.json")
    assert new.pop("gains")  # what later versions say beside it
    assert new["header"] | old["header"] == new["header"]
    assert new | {"header": old["header"]} == old
    ours, theirs = (
        (d / "summary.csv").read_text(encoding="utf-8").splitlines() for d in (run, OLD)
    )
    assert ours[0] == theirs[0]
    assert len(ours) == len(theirs)
