"""Which configurations think: the thinker's, at some levels or all; never a plain policy's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from profiles.run.grid import configurations
from profiles.run.request import Request
from tests.profiles.run.shelf import Shelf, ThinkingShelf


def test_thinking_runs_on_the_thinker_and_plain_on_the_policy(
    request_: Request, tmp_path: Path
) -> None:
    asked = replace(request_, think=("off", "gated"), methods=("rebase",), widths=(8,))
    made = configurations(asked, ThinkingShelf(tmp_path).models())
    found = [(c.policy.name, c.thinking, c.level) for c in made]
    assert found == [
        ("reference_policy", "off", "f32"),
        ("policy-q8_0.gguf", "off", "q8_0"),
        ("policy-q4_k_m.gguf", "off", "q4_k_m"),
        ("reference_thinker", "gated", "f32"),
        ("thinker-q8_0.gguf", "gated", "q8_0"),
        ("thinker-q4_k_m.gguf", "gated", "q4_k_m"),
    ]
    assert made[-1].slug == "thinker-gguf-q4_k_m-rebase-8-gated"
    assert all(c.reward is not None for c in made)
    assert made[-1].options.context >= 1024 + 8 * (256 + 7)


def test_thoughts_at_some_levels_only(request_: Request, tmp_path: Path) -> None:
    asked = replace(
        request_,
        think=("off", "on"),
        think_levels=("f32", "q4_k_m"),
        methods=("rebase",),
        widths=(8,),
    )
    made = configurations(asked, ThinkingShelf(tmp_path).models())
    assert [c.level for c in made if c.thinking == "on"] == ["f32", "q4_k_m"]
    assert [c.level for c in made if c.thinking == "off"] == ["f32", "q8_0", "q4_k_m"]


def test_a_thinker_without_thoughts_is_one_more_policy(request_: Request, tmp_path: Path) -> None:
    asked = replace(
        request_, policies=("reference:thinker",), think=("off", "on"), methods=("greedy",)
    )
    made = configurations(asked, ThinkingShelf(tmp_path).models())
    assert {c.policy.name.split("-")[0] for c in made} == {"thinker", "reference_thinker"}
    assert [c.thinking for c in made] == ["off", "on"] * 3


def test_a_model_that_cannot_think(request_: Request, shelf: Shelf) -> None:
    asked = replace(request_, think=("on",), thinker=str(shelf.file("plain-q8_0")))
    with pytest.raises(ValueError, match=r"plain-q8_0.gguf is no Quiet-STaR model .*--thinker"):
        configurations(asked, shelf.models())
