"""What thinking gained, on records made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from methods.catalog import METHODS, ProtocolName
from profiles.records.configuration import Configuration
from profiles.records.stored_run import Recorded
from profiles.report.findings import thinking_sentences
from profiles.report.thinking import effects
from runtime.engine import Usage


@pytest.fixture
def measured(
    configuration: Callable[..., Configuration],
    process: Callable[..., Any],
    record: Callable[..., Any],
) -> Callable[..., Recorded]:
    def make(search: str, think: str, right: range, tokens: int, width: int = 8) -> Recorded:
        one = configuration(search, "f16", width)
        one = replace(one, options=replace(one.options, think=think))
        thoughts = {"thoughts": 30, "skipped_thoughts": 70} if think == "gated" else {}
        usage = Usage(decode_tokens=tokens, context_tokens=1, **thoughts)
        records = [
            record(n, one, dict.fromkeys(one.selections, n in right), policy=usage, reward=Usage())
            for n in range(100)
        ]
        return Recorded(one, process("f16"), tuple(records))

    return make


def test_against_the_same_search_and_the_best_that_costs_no_more(
    measured: Callable[..., Recorded],
) -> None:
    runs = [
        measured("rebase", "off", range(70), 1000),
        measured("rebase", "off", range(80), 1900, width=16),
        measured("rebase", "off", range(99), 9000, width=32),  # costs more: no rival
        measured("rebase", "gated", range(90), 2000),
    ]
    (effect,) = effects(runs, METHODS)
    assert effect.same is not None
    assert effect.rival is not None
    assert (effect.same.row.setup.width, effect.rival.row.setup.width) == (8, 16)
    assert effect.same.paired.difference == pytest.approx(0.20)
    assert effect.rival.paired.difference == pytest.approx(0.10)
    assert (effect.same.paired.won, effect.same.paired.lost) == (20, 0)
    (sentence,) = thinking_sentences([effect])
    assert "REBASE w=8, gated 90.0 %" in sentence
    assert "+20.0 points" in sentence
    assert "to REBASE w=8 (70.0 %)" in sentence
    assert "to REBASE w=16 (80.0 %), the best without thoughts for no more operations" in sentence


def test_other_levels_and_the_seed_protocol_are_no_rivals(
    measured: Callable[..., Recorded],
) -> None:
    plain, gated = (
        measured("rebase", "off", range(70), 10),
        measured("rebase", "gated", range(9), 9),
    )
    paper = replace(
        plain.configuration, spec=replace(plain.configuration.spec, protocol=ProtocolName.PAPER)
    )
    other = replace(plain.configuration, format="onnx")
    for configuration in (paper, other):
        (effect,) = effects([replace(plain, configuration=configuration), gated], METHODS)
        assert effect.same is None or configuration is other
        assert effect.rival is None or configuration is other


def test_a_selection_that_nobody_asked_for_is_not_shown(
    measured: Callable[..., Recorded],
) -> None:
    runs = [measured("sample", think, range(70), 1000) for think in ("off", "on")]
    for asked, shown in ((["best-of-n"], "best-of-n"), (["majority", "weighted"], "weighted")):
        (effect,) = effects(runs, asked)
        assert effect.row.setup.method == shown
        assert effect.same is not None
        assert effect.same.row.setup.method == shown
    assert effects(runs, ["rebase"]) == []


def test_a_talk_head_and_the_gate_share_are_in_the_row(
    measured: Callable[..., Recorded],
) -> None:
    (effect,) = effects([measured("rebase", "gated", range(90), 2000)], METHODS)
    assert effect.row.cost.thought_share == pytest.approx(0.3)
    assert effect.row.setup.thinking == "gated"
