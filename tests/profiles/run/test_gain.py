"""What `--parallel auto` takes: measured, and kept for the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from methods.build import MethodSpec
from profiles.records.configuration import Configuration
from profiles.run.gain import gain, measured_gain
from profiles.run.room import BranchGain, as_many
from runtime.options import EngineOptions
from runtime.scripted_engine import ScriptedEngine


@pytest.mark.parametrize(("call_s", "row_s", "best"), [(1.0, 0.0, 8), (0.0, 1.0, 1), (1, 9, 4)])
def test_the_fewest_branches_that_decode_about_as_fast_as_any(
    monkeypatch: pytest.MonkeyPatch, call_s: float, row_s: float, best: int
) -> None:
    monkeypatch.setattr("profiles.run.gain._seconds", lambda _, size: call_s + row_s * size)
    assert gain(ScriptedEngine({}), (1, 4, 8)) == best


def test_no_more_than_the_fast_kernels_take_where_all_others_are_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on Vulkan, whose kernels for few rows end at 8."""
    slow = {8: 1.0, 16: 2.2, 32: 4.2, 64: 8.2}
    monkeypatch.setattr("profiles.run.gain._seconds", lambda _, size: slow.get(size, 1.0))
    assert gain(ScriptedEngine({})) == 8


def test_single_paths_are_as_many_as_streams_gain_and_trees_as_a_shared_cache_does() -> None:
    spec = MethodSpec("greedy")
    assert as_many(spec, BranchGain(32, 4)) == 32
    assert as_many(replace(spec, search="rebase", width=8), BranchGain(64, 16)) == 2
    assert as_many(replace(spec, search="rebase", width=8), BranchGain(64, 4)) == 1


def test_a_model_is_measured_in_a_process_of_its_own(
    configuration: Callable[..., Configuration], reference: Callable[[str, str], Path]
) -> None:
    made = configuration("greedy")
    options = EngineOptions(device="cpu", threads=1)
    made = replace(made, policy=reference("policy", "q4_k_m"), format="gguf", options=options)
    found = measured_gain(made)
    assert {found.streams, found.shared} <= {1, 2, 4, 8, 16, 32, 64}
    assert measured_gain(replace(made, policy=Path("nowhere.gguf"))) == BranchGain(1, 1)
    assert json.dumps(made.document())
