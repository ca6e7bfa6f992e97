"""A configuration can be named, stored, and told from another."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from convert.artifact import PromptFormat, RewardProtocol
from methods.budget import Budget
from profiles.records.configuration import (
    Configuration,
    differences,
    fingerprint,
    read_configuration,
)
from runtime.options import EngineOptions

Made = Callable[..., Configuration]


def test_json_round_trip(configuration: Made, tmp_path: Path) -> None:
    own = replace(configuration("sample").spec, own={"heat": 1, "cool": 0.5})
    for made in (
        configuration("rebase"),
        configuration("greedy", "f32"),
        configuration("sample", spec=own),
        configuration("sample", spec=replace(own, budget=Budget(4.0, "T"))),
    ):
        path = tmp_path / "c.json"
        path.write_text(json.dumps(made.document()))
        assert read_configuration(path) == made
        assert read_configuration(path).digest() == made.digest()


def test_a_file_that_is_no_configuration_is_named(tmp_path: Path) -> None:
    for text in ("{", "{}", '{"policy": "p", "data": "d", "reward": null, "spec": {}, "x": 1}'):
        path = tmp_path / "c.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"c\.json"):
            read_configuration(path)


def test_slug_names_level_search_and_width_once(configuration: Made) -> None:
    assert configuration("rebase", "q4_k_m", 4).slug == "policy-gguf-q4_k_m-rebase-4"
    mixed = configuration("sample", "q4_k_m", reward_level="q8_0")
    assert mixed.slug == "policy-gguf-q4_k_m-reward-q8_0-sample-8"
    odd = configuration("greedy", policy=Path("/m/a b:c.gguf"))
    assert odd.slug == "a_b_c-gguf-q4_k_m-greedy-1"


def test_digest_follows_what_changes_answers_and_nothing_else(configuration: Made) -> None:
    made = configuration("sample")
    same = replace(made, policy=Path("/elsewhere/policy.gguf"), limit=3, data=Path("/d.jsonl"))
    assert same.digest() == made.digest()
    for other in (
        replace(made, seed=1),
        replace(made, spec=replace(made.spec, temperature=0.7)),
        replace(made, spec=replace(made.spec, own={"heat": 1})),
        replace(made, spec=replace(made.spec, budget=Budget(4.0, "T"))),
        replace(made, options=EngineOptions(kv_type="q8_0")),
        replace(made, policy_fingerprint="another model"),
        replace(made, data_sha256="1" * 64),
        replace(made, task="math"),
        replace(made, reward_protocol=RewardProtocol("value", "\n")),
        replace(made, spec=replace(made.spec, stop_loops=True)),
        replace(made, spec=replace(made.spec, think_budget=64)),
    ):
        assert other.digest() != made.digest()


def test_an_option_that_came_later_is_named_only_where_it_is_given(configuration: Made) -> None:
    made = configuration("sample")
    other = replace(made, task="choice")
    assert "task" not in made.decisive()
    assert differences(made, other) == ["task gsm8k -> choice"]
    assert differences(other, made) == ["task choice -> gsm8k"]


def test_differences_name_the_field_and_both_values(configuration: Made) -> None:
    made = configuration("sample")
    other = replace(made, spec=replace(made.spec, temperature=0.7))
    assert differences(made, other) == ["spec.temperature 1.0 -> 0.7"]


def test_a_majority_vote_needs_no_reward_model(configuration: Made) -> None:
    assert configuration("sample", reward=None).selections == ("majority",)
    assert configuration("sample").selections == ("majority", "best-of-n", "weighted")


def test_fingerprint_notices_a_changed_tail(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"head" + bytes(3 << 20) + b"tail")
    before = fingerprint(model)
    model.write_bytes(b"head" + bytes(3 << 20) + b"Tail")
    assert fingerprint(model) != before
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    assert fingerprint(folder) == fingerprint(folder / "model.safetensors")


def test_a_prompt_counts_only_where_one_was_chosen(configuration: Made, tmp_path: Path) -> None:
    made = configuration("sample")
    assert not [key for key in made.decisive() if key.startswith("prompt")]
    asked = replace(made, prompt=PromptFormat(step_stop="\n"))
    assert asked.digest() != made.digest()
    assert "prompt.step_stop None -> \n" in differences(made, asked)
    assert "prompt.step_stop \n -> None" in differences(asked, made)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(asked.document()))
    assert read_configuration(path) == asked
