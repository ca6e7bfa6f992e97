"""What a reader has to know first: how models were asked, and searches that searched nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.artifact import PromptFormat
from profiles.report.header import facts, warnings
from profiles.report.summary import Summary, summarize


@pytest.fixture
def summary(
    tmp_path: Path, configuration: Any, process: Any, record: Any, stored: Callable[..., None]
) -> Callable[..., Summary]:
    def make(depths: list[int], form: PromptFormat | None = None) -> Summary:
        made = configuration("rebase")
        right = dict.fromkeys(made.selections, True)
        records = [record(n, made, right, depth=depth) for n, depth in enumerate(depths)]
        stored(tmp_path / "r", [(made, replace(process(), prompt=form), records)])
        return summarize(tmp_path / "r")

    return make


@pytest.mark.parametrize(
    ("depths", "told"),
    [([1, 1, 3], True), ([1, 2, 3], False), ([0, 0, 0], False), ([0, 1, 1], True)],
)
def test_trees_that_never_branched(summary: Any, depths: list[int], told: bool) -> None:
    found = [line for line in warnings(summary(depths)) if "--step-stop" in line]
    assert len(found) == told
    if told:
        assert found[0].startswith("policy-gguf-q4_k_m-rebase-8: in most questions every path was")


def test_the_prompt_is_named(summary: Any) -> None:
    form = PromptFormat("{question}\n", "ки", "The answer is:", shots=2)
    said = dict(facts(summary([2], form)))["prompt"]
    assert said == (
        'template "{question}\\n", step_stop "ки", answer_marker "The answer is:", shots 2'
    )
    assert dict(facts(summary([2])))["prompt"] == "not recorded"
