"""Protocols of a protocol.json that do not hold: one line that names the key."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convert.refusal import Refusal
from convert.torch_artifact import artifact_from_folder

LOGITS = {"kind": "token_logits", "step_tag": "ки", "good_id": 3, "bad_id": 4}
CLASSES = {"kind": "classify", "step_tag": "\n"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"role": "judge"}, r"protocol.json gives role 'judge'; choose policy, reward, thinker"),
        ({"role": 3}, r"gives role 3; choose policy, reward, thinker"),
        ({"rewards": {}}, r"holds rewards; choose role, prompt, reward, thought"),
        ({"prompt": "x"}, r"gives prompt 'x'; choose a table"),
        ({"prompt": {"template": "no place"}}, r"prompt.template without \{question\}"),
        ({"prompt": {"step_stop": ""}}, r"prompt.step_stop no text"),
        ({"prompt": {"step_stop": 3}}, r"prompt: step_stop: Expected `str`, got `int`"),
        ({"prompt": {"step_stop": "\ud800"}}, r"prompt"),
        (
            {"reward": LOGITS | {"step_tag": 3}},
            r"reward: step_tag: Expected `str`",
        ),
        (
            {"reward": LOGITS | {"kind": "stars"}},
            r"reward.kind 'stars'; choose token_logits",
        ),
        (
            {"reward": LOGITS | {"aggregation": "max"}},
            r"reward.aggregation 'max'; choose last",
        ),
        ({"reward": LOGITS | {"good_id": 5000}}, r"reward.good_id 5000; choose .* from 0 to 1023"),
        ({"reward": LOGITS | {"bad_id": -1}}, r"reward.bad_id -1; choose a whole number"),
        ({"reward": LOGITS | {"bad_id": None}}, r"token_logits needs both good_id and bad_id"),
        ({"reward": LOGITS | {"good_id": True}}, r"reward: good_id: Expected `int . null`"),
        ({"reward": {"step_tag": "x"}}, r"reward: Object missing required field `kind`"),
    ],
)
def test_a_protocol_that_does_not_hold(mistral, document, message):
    if "reward" in document:
        document = {"role": "reward"} | document
    (mistral / "protocol.json").write_text(json.dumps(document))
    with pytest.raises(Refusal, match=message):
        artifact_from_folder(mistral)


@pytest.mark.parametrize(
    ("reward", "rows", "message"),
    [
        (CLASSES | {"positive_index": 99}, 2, r"positive_index 99; choose .* from 0 to 1"),
        (CLASSES | {"positive_index": -1}, 2, r"positive_index -1; choose"),
        (CLASSES | {"kind": "value"}, 2, r"kind value needs a head of 1 output, it has 2"),
    ],
)
def test_a_head_that_cannot_fulfil_it(mistral, edit, reward, rows, message):
    edit(mistral, **{"score.weight": np.ones((rows, 256), np.float32)})
    (mistral / "protocol.json").write_text(json.dumps({"role": "reward", "reward": reward}))
    with pytest.raises(Refusal, match=message):
        artifact_from_folder(mistral)
