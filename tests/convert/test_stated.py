"""What a user states of a checkpoint: it is settled, and shown, before anything is written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convert.cli import main

SCORES = {"kind": "token_logits", "step_tag": "\n", "good_id": 3, "bad_id": 4}


@pytest.fixture
def dry_run(mistral, tmp_path, capsys):
    """What `convert --dry-run` says of the checkpoint: its identity, or its error line."""

    def run(*arguments):
        code = main([str(mistral), "--dry-run", "--json", "-o", str(tmp_path / "out"), *arguments])
        out, err = capsys.readouterr()
        assert not (tmp_path / "out").exists()
        return json.loads(out)[0]["identity"] if code == 0 else err

    return run


@pytest.fixture
def protocol(tmp_path):
    def write(**tables):
        (tmp_path / "p.json").write_text(json.dumps(tables))
        return "--protocol", str(tmp_path / "p.json")

    return write


def test_a_file_goes_before_what_lies_beside_the_weights(dry_run, protocol, mistral):
    prompt = {"template": "{question}\n", "step_stop": "\n"}
    beside = {"prompt": prompt, "role": "policy"}
    (mistral / "protocol.json").write_text(json.dumps(beside))
    assert dry_run()["role"] == "policy"
    found = dry_run(*protocol(reward=SCORES))
    assert (found["role"], found["reward"]["good_id"]) == ("reward", 3)
    assert found["prompt"]["step_stop"] == "\n"


def test_the_role_on_the_command_line_goes_before_both(dry_run, protocol):
    assert dry_run("--role", "policy", *protocol(reward=SCORES))["reward"] is None


def test_what_is_wrong_with_a_file_is_said_before_anything_is_written(dry_run, protocol):
    assert "p.json holds rewards; choose role" in dry_run(*protocol(rewards={}))
    assert "--protocol gives reward.bad_id 9999" in dry_run(
        *protocol(reward=SCORES | {"bad_id": 9999})
    )
    assert "nothing.json does not exist" in dry_run("--protocol", "nothing.json")


def test_a_separator_is_for_token_classifiers(dry_run, mistral, edit):
    assert "only token classifiers have a choice" in dry_run(
        "--role", "reward", "--separator", r"\n\n"
    )
    edit(mistral, **{"score.weight": np.ones((2, 256), np.float32)})
    assert dry_run("--separator", r"\n\n")["reward"]["step_tag"] == " \n\n"


def test_a_class_of_reward_models_makes_no_policy(dry_run, mistral, edit):
    edit(mistral, **{"v_head.summary.weight": np.ones((1, 256), np.float32)})
    assert dry_run("--role", "policy")["role"] == "policy"  # trained by PPO, with its value head
    path = mistral / "config.json"
    path.write_text(path.read_text().replace("MistralForCausalLM", "Qwen2ForPrmModel"))
    assert "is a Qwen2ForPrmModel, a reward model and no policy" in dry_run("--role", "policy")


def test_the_protocol_stands_in_the_text_too(mistral, capsys):
    assert main([str(mistral), "--role", "reward", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "role reward; nothing written" in out
    assert "reward: kind 'token_logits', step_tag ' ки'" in out
    assert "between '\\n'" in out


def test_a_gguf_stays_what_it_is(reference, protocol, capsys):
    path = str(reference("policy", "q8_0"))
    for given in (protocol(reward=SCORES), ("--role", "reward"), ("--separator", "x")):
        assert main([path, "--quant", "q4_0", "--dry-run", *given]) == 1
        assert "is a GGUF and stays a policy" in capsys.readouterr().err
