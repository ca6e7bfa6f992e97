"""Records survive being written, torn and read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from convert.refusal import Refusal
from profiles.records.configuration import Configuration
from profiles.records.record import Record, open_records, read_records

Made = Callable[..., Record]


@pytest.fixture
def records(configuration: Callable[..., Configuration], record: Made) -> list[Record]:
    made = configuration("sample")
    right = {"majority": True, "best-of-n": False, "weighted": True}
    return [record(number, made, right) for number in range(3)]


def test_a_record_survives_its_line(tmp_path: Path, records: list[Record]) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("".join(record.line() for record in records))
    assert read_records(path) == records


def test_no_file_holds_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "missing.jsonl") == []


def test_a_torn_last_line_is_dropped_and_written_over(
    tmp_path: Path, records: list[Record]
) -> None:
    path = tmp_path / "r.jsonl"
    torn = records[2].line()[:-20]
    path.write_text(records[0].line() + records[1].line() + torn)
    assert read_records(path) == records[:2]
    with open_records(path) as lines:
        lines.write(records[2].line())
    assert read_records(path) == records


def test_a_line_is_torn_until_it_ends(tmp_path: Path, records: list[Record]) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(records[0].line() + records[1].line().rstrip("\n"))
    assert read_records(path) == records[:1]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path, records: list[Record]) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(records[0].line() + '{"id": "1"}\n' + records[1].line())
    with pytest.raises(ValueError, match=r"r\.jsonl line 2 is not a record"):
        read_records(path)


def test_a_failed_record_has_no_answer_under_any_selection(
    configuration: Callable[..., Configuration], record: Made
) -> None:
    made = configuration("greedy")
    failed = record(0, made, {"greedy": True}, verdicts={}, failed="the KV cache is full")
    assert failed.verdict("greedy").answer is None
    assert not failed.verdict("greedy").correct


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e999", "1" + "0" * 30, "true", '"1"'])
def test_a_number_that_no_question_took_is_an_error(
    tmp_path: Path, records: list[Record], value: str
) -> None:
    path = tmp_path / "r.jsonl"
    line = records[0].line()
    for field in ("latency_s", "candidates"):
        old = f'"{field}": {getattr(records[0], field)}'
        assert old in line
        path.write_text(line.replace(old, f'"{field}": {value}'), encoding="utf-8")
        with pytest.raises(Refusal, match=r"r\.jsonl line 1 is not a record"):
            read_records(path)
