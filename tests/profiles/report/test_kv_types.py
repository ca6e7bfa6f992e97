"""Rows that differ in the type of their KV cache alone stay apart wherever rows are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from profiles.recommend.measure import read_rows
from profiles.records.configuration import Configuration
from profiles.report.names import level_name, short_level
from profiles.report.row_comparison import by_questions
from profiles.report.write import write
from runtime.options import EngineOptions
from tests.profiles.conftest import make_process, make_record

LEVELS = ["torch f32", "gguf q8_0", "gguf q8_0, KV q4_0"]


@pytest.fixture
def folder(
    tmp_path: Path, stored: Callable[..., None], configuration: Callable[..., Configuration]
) -> Path:
    """One level with two types of KV cache, the second right every other time."""
    measured = []
    for level, kv_type in (("f32", "f16"), ("q8_0", "f16"), ("q8_0", "q4_0")):
        for search in ("greedy", "rebase"):
            made = configuration(search, level, options=EngineOptions(kv_type=kv_type))
            right = [kv_type == "f16" or n % 2 == 0 for n in range(20)]
            records = [
                make_record(n, made, dict.fromkeys(made.selections, right[n])) for n in range(20)
            ]
            measured.append((made, make_process(level, judged=search == "rebase"), records))
    stored(tmp_path / "run", measured, methods=("greedy", "rebase"))
    return tmp_path / "run"


def test_levels_are_named_with_their_cache(folder: Path) -> None:
    summary = write(folder)
    assert list(dict.fromkeys(map(level_name, summary.rows))) == LEVELS
    assert short_level(summary.rows[-1]) == "q8_0, KV q4_0"
    assert {r.row.setup.kv_type for r in summary.recoveries} == {"f16", "q4_0"}
    for gain in summary.gains:
        assert gain.paired.difference == 0
        assert gain.row.setup.kv_type == gain.greedy.setup.kv_type
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "q8_0, KV q4_0 (every method" in page
    assert "3 levels" in page


def test_rows_read_back_keep_their_cache_and_find_their_records(folder: Path) -> None:
    summary = write(folder)
    rows = read_rows(folder)
    assert rows == list(summary.rows)
    judged = by_questions(folder)(rows[4], rows[8])
    assert judged.paired is not None
    assert judged.paired.difference == 0.5


def test_runs_with_the_usual_cache_alone_do_not_mention_it(run_folder: Path) -> None:
    summary = write(run_folder)
    assert "kv_type" not in json.loads((run_folder / "summary.json").read_text())["rows"][0]
    assert ", KV " not in (run_folder / "report.md").read_text(encoding="utf-8")
    assert read_rows(run_folder) == list(summary.rows)


def test_the_usual_cache_changes_no_digest_and_no_name(
    configuration: Callable[..., Configuration],
) -> None:
    usual = configuration("rebase", "q8_0")
    other = replace(usual, options=replace(usual.options, kv_type="q8_0"))
    assert usual.slug == "policy-gguf-q8_0-rebase-8"
    assert other.slug == "policy-gguf-q8_0-kv-q8_0-rebase-8"
    assert usual.digest() != other.digest()
