"""The paper's suite: its systems, its figures, and the table beside ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from methods.build import MethodSpec
from methods.catalog import ProtocolName
from profiles import paper_suite
from profiles.records.configuration import Configuration
from profiles.report import paper_table
from profiles.report.accuracy import row
from profiles.report.rows import Row


def _rows(
    configuration: Callable[..., Configuration],
    process: Callable[..., Any],
    record: Callable[..., Any],
) -> list[Row]:
    made = []
    for thinking, spec in paper_suite.cells(MethodSpec("greedy")):
        one = configuration(spec.search, "f16", spec.width)
        one = replace(one, spec=spec, options=replace(one.options, think=thinking))
        if spec.search == "sample":
            one = replace(one, reward=None)
        records = [record(n, one, dict.fromkeys(one.selections, n < 4)) for n in range(16)]
        made += [row(one, process("f16"), records, s) for s in one.selections]
    return made


def test_six_systems_under_two_protocols() -> None:
    cells = list(paper_suite.cells(MethodSpec("greedy", temperature=0.7)))
    assert len(cells) == 12
    protocols = [spec.protocol for _, spec in cells]
    assert protocols == [ProtocolName.PAPER] * 6 + [ProtocolName.FAIR] * 6
    assert {spec.max_tokens for _, spec in cells} == {384}
    assert {spec.temperature for _, spec in cells[:6]} == {1.0}  # the paper's own
    assert {spec.temperature for _, spec in cells[6:]} == {0.7}
    assert [t for t, _ in cells[:6]] == ["off", "on", "off", "off", "off", "on"]


def test_published_and_measured_stand_side_by_side(
    configuration: Callable[..., Configuration],
    process: Callable[..., Any],
    record: Callable[..., Any],
) -> None:
    head, *lines = paper_table.table(_rows(configuration, process, record))
    assert len(lines) == 12
    assert all(len(line) == len(head) for line in lines)
    combined = [line for line in lines if line[0] == "REBASE + Quiet-STaR, w=6"]
    assert [line[1:4] for line in combined] == [("9.38", "4.25", "143.66")] * 2
    assert [line[4] for line in combined] == ["paper, gguf f16", "fair, gguf f16"]
    assert {line[5] for line in lines} == {"25.0 [10.2, 49.5]"}
    markdown = paper_table.markdown(_rows(configuration, process, record)).splitlines()
    assert len({line.count("|") for line in markdown}) == 1


def test_published_accuracies_are_whole_numbers_of_128() -> None:
    for system in paper_suite.SYSTEMS:
        assert 128 * system.accuracy == pytest.approx(round(128 * system.accuracy), abs=0.02)
