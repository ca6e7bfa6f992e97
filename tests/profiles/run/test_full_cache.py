"""A question alone in a small KV cache: a prompt can be too long, branches are never too many."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from methods.opened import Models
from profiles.records.configuration import Configuration
from profiles.records.record import read_records
from profiles.run.models import Opener
from profiles.run.worker import measure
from runtime.engine import Engine
from runtime.prompt import prompt_tokens
from runtime.scripted_engine import ScriptedEngine
from tests.profiles.run.scripted import policy, reward, scripted

LINGERING = {
    "step by step.": {" So.\n\n": 1},
    "So.\n\n": {"Well, let me see.\n\n": 3, "The answer is 5.": 1},
    "see.\n\n": {"The answer is 6.": 1},
}
Made = Callable[..., Configuration]


def asked(made: Made, search: str, width: int, folder: Path, questions: list[str]) -> Configuration:
    data = folder / "problems.jsonl"
    lines = [json.dumps({"question": text, "answer": "#### 5"}) for text in questions]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = made(search, width=width, data=data)
    return replace(found, spec=replace(found.spec, max_tokens=40))


def on(policy: Engine, reward: Engine) -> Opener:
    @contextmanager
    def opener(_: Configuration) -> Iterator[Models]:
        yield Models(policy, reward)

    return opener


def test_a_prompt_that_does_not_fit_is_recorded_as_failed(
    configuration: Made, tmp_path: Path
) -> None:
    vote = asked(configuration, "sample", 3, tmp_path, ["Q0?", "long " * 200])
    measure(vote, tmp_path / "r.jsonl", opener=on(policy(context=400), reward()))
    fits, fails = read_records(tmp_path / "r.jsonl")
    assert fits.failed is None
    assert fails.failed is not None
    assert "400" in fails.failed
    assert fails.verdict("majority").answer is None


def test_branches_that_outgrow_the_cache_take_turns(configuration: Made, tmp_path: Path) -> None:
    tree = asked(configuration, "rebase", 8, tmp_path, ["Q0?", "Q1?", "Q2?"])
    prompt = len(prompt_tokens(policy(), "Q0?"))
    measure(tree, tmp_path / "large.jsonl", opener=scripted)
    measure(tree, tmp_path / "tight.jsonl", opener=on(policy(context=prompt + 25), reward()))
    large, small = (read_records(tmp_path / name) for name in ("large.jsonl", "tight.jsonl"))
    assert [r.failed for r in small] == [None] * 3
    found = [[(r.verdicts, r.candidates) for r in records] for records in (large, small)]
    assert found[0] == found[1]
    spent = [sum(r.policy.tokens for r in records) for records in (large, small)]
    assert spent[0] < spent[1]  # first attempts are counted


@pytest.mark.parametrize(("search", "cut_off"), [("rebase", True), ("sample", False)])
def test_a_path_too_long_for_the_reward_model_is_no_failure(
    configuration: Made, tmp_path: Path, search: str, *, cut_off: bool
) -> None:
    """A tree cuts it off and asks for its answer; a vote has it whole, under its last score."""
    steps = asked(configuration, search, 8, tmp_path, ["Q0?"])
    steps = replace(steps, spec=replace(steps.spec, max_tokens=80))

    for name, cells in (("whole.jsonl", 65536), ("tight.jsonl", len("Q0? So. ки") + 20)):
        measure(steps, tmp_path / name, opener=on(ScriptedEngine(LINGERING), reward(cells)))
    whole, tight = (read_records(tmp_path / name)[0] for name in ("whole.jsonl", "tight.jsonl"))
    assert whole.failed is tight.failed is None
    assert whole.truncated == 0
    assert (tight.truncated > 0) == cut_off
    assert tight.reward.tokens < whole.reward.tokens
