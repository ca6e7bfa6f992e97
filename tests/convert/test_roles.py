"""The role of a checkpoint, and how a reward model scores, told from what is there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convert.checkpoint import read_checkpoint
from convert.identity import identify


def _identity(folder, role=None):
    return identify(read_checkpoint(folder), role)


def _name(folder, new):
    folder.rename(folder.with_name(new))
    return folder.with_name(new)


def test_a_plain_model_is_a_policy(mistral):
    identity = _identity(mistral)
    assert identity.role == "policy"
    assert identity.reward is None
    assert identity.prompt is None


@pytest.mark.parametrize(
    ("tensors", "kind"),
    [
        ({"score.weight": (1, 256)}, "value"),
        ({"score.weight": (2, 256), "score.bias": (2,)}, "classify"),
        ({"score.0.weight": (256, 256), "score.2.weight": (2, 256)}, "classify"),
        ({"v_head.summary.weight": (1, 256), "v_head.summary.bias": (1,)}, "value"),
    ],
)
def test_heads_make_a_reward_model(mistral, edit, tensors, kind):
    edit(mistral, **{name: np.ones(shape, np.float32) for name, shape in tensors.items()})
    identity = _identity(mistral)
    assert identity.role == "reward"
    assert identity.reward is not None
    assert identity.reward.kind == kind


@pytest.mark.parametrize("name", ["math-shepherd-mistral-7b-prm", "Llama3.1-8B-PRM-x"])
def test_math_shepherd_by_its_name(mistral, name):
    identity = _identity(_name(mistral, name))
    assert identity.role == "reward"
    protocol = identity.reward
    assert protocol is not None
    assert (protocol.kind, protocol.step_tag) == ("token_logits", " ки")
    assert (protocol.good_id, protocol.bad_id) == (312, 325)  # + and - of this tokenizer


def test_a_snapshot_in_the_hub_cache_by_its_repository(mistral, tmp_path):
    snapshots = tmp_path / "models--peiyi9979--math-shepherd-mistral-7b-prm" / "snapshots"
    snapshots.mkdir(parents=True)
    mistral.rename(snapshots / "0c1e57")
    assert _identity(snapshots / "0c1e57").role == "reward"


def test_role_wins_over_detection(mistral):
    identity = _identity(mistral, "reward")
    assert identity.reward is not None
    assert identity.reward.good_id == 312
    assert _identity(_name(mistral, "my-prm"), "policy").role == "policy"


def test_protocol_file_wins_over_detection(mistral):
    protocol = {"role": "reward", "reward": {"kind": "value", "step_tag": "\n"}}
    (mistral / "protocol.json").write_text(json.dumps(protocol))
    identity = _identity(mistral)
    assert identity.role == "reward"
    assert identity.reward is not None
    assert identity.reward.kind == "value"


def test_no_tokens_to_score_with(mistral):
    (mistral / "tokenizer.model").unlink()
    path = mistral / "tokenizer.json"
    path.write_text(path.read_text().replace("\u2581\u043a\u0438", "\u2581\u043a\u043a\u0438"))
    with pytest.raises(ValueError, match=r"no tokens for \+ and -.*protocol.json"):
        _ = _identity(mistral, "reward")
