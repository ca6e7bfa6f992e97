"""Which preset a reward model gets, by layout and by name; their scores: test_reward_recipes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convert.checkpoint import read_checkpoint
from convert.identity import identify
from convert.refusal import Refusal
from convert.reward_presets import NAMED
from tests.conftest import ROOT

PACKAGES = ("convert", "runtime", "methods", "profiles")
TWO = {"score.weight": np.ones((2, 256), np.float32)}


def _configure(folder, architecture):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": [architecture]}))


def _add_token(folder, token):
    path = folder / "tokenizer_config.json"
    table = json.loads(path.read_text())
    table.setdefault("added_tokens_decoder", {})["1000"] = {"content": token, "special": True}
    path.write_text(json.dumps(table))


def _reward(folder, name=None):
    if name is not None:
        folder = folder.rename(folder.with_name(name))
    return identify(read_checkpoint(folder)).reward


def test_a_classifier_is_trls_unless_it_knows_qwens_tag(mistral, edit):
    edit(mistral, **TWO)
    _configure(mistral, "Qwen2ForTokenClassification")
    found = _reward(mistral)
    assert (found.kind, found.step_tag, found.join) == ("classify", " \n", " ")
    _add_token(mistral, "<extra_0>")
    found = _reward(mistral)
    assert (found.kind, found.step_tag, found.join) == ("classify", "<extra_0>", "")
    assert found.template.startswith("<|im_start|>system\nPlease reason step by step")


def test_qwens_class_needs_its_tag(mistral, edit):
    edit(mistral, **TWO)
    _configure(mistral, "Qwen2ForProcessRewardModel")
    with pytest.raises(Refusal, match=r"tokenizer of .* lacks <extra_0>, at which a Qwen2ForProc"):
        _reward(mistral)


def test_no_other_file_knows_a_preset_by_name():
    product = [path for part in PACKAGES for path in (ROOT / part).rglob("*.py")]
    named = [path.name for path in product if "rlhflow" in path.read_text(encoding="utf-8")]
    assert named == ["reward_presets.py"]


def test_named_presets_have_the_published_ids():
    shepherd, chat = NAMED["math-shepherd"].protocol, NAMED["rlhflow"].protocol
    assert (shepherd.good_id, shepherd.bad_id, shepherd.between) == (648, 387, "\n")
    assert (chat.good_id, chat.bad_id) == (10, 12)
    assert "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n" in chat.template


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("Qwen2.5-0.5B-Math-Shepherd-PRM-0.2", " \n"),
        ("Qwen2.5-Math-1.5B-Instruct-PRM-0.2", " \n\n"),
        ("Qwen2.5-Math-7B-Instruct-PRM-0.1", " \n\n"),
    ],
)
def test_the_separator_that_a_classifier_was_trained_with(mistral, edit, name, tag):
    edit(mistral, **TWO)
    assert _reward(mistral, name).step_tag == tag


@pytest.mark.parametrize("architecture", ["LlamaForSequenceClassification", "Qwen2ForRewardModel"])
def test_an_outcome_model_scores_no_steps(mistral, edit, architecture):
    edit(mistral, **{"score.weight": np.ones((1, 256), np.float32)})
    _configure(mistral, architecture)
    with pytest.raises(Refusal, match=rf"is an outcome reward model \({architecture}\): .*answers"):
        _reward(mistral)
    stated = {"reward": {"kind": "value", "step_tag": "\n"}}
    (mistral / "protocol.json").write_text(json.dumps(stated))
    assert _reward(mistral).kind == "value"


def test_an_outcome_model_by_its_name(mistral):
    with pytest.raises(Refusal, match=r"is an outcome reward model"):
        _reward(mistral, "Llama3.1-8B-ORM-Mistral-Data")


def test_a_policy_that_was_trained_with_a_reward_model_is_none(mistral):
    folder = mistral.rename(mistral.with_name("math-shepherd-mistral-7b-rl"))
    assert identify(read_checkpoint(folder)).role == "policy"


def test_turns_of_llama_make_it_rlhflows(mistral):
    for path in mistral.glob("tokenizer.model"):
        path.unlink()
    _add_token(mistral, "<|eot_id|>")
    path = mistral / "tokenizer.json"
    path.write_text(path.read_text().replace("\u2581+", "+").replace("\u2581-", "-"))
    found = _reward(mistral, "Llama3.1-8B-PRM-Mistral-Data")
    assert (found.step_tag, found.after) == (
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "+<|eot_id|>",
    )
    assert "Cutting Knowledge" not in found.template  # as the chat template has none
    assert found.aggregation == "mean"
