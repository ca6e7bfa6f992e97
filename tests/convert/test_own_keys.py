"""A GGUF's own keys: what is written is what is read."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from convert.artifact import Artifact, PromptFormat, RewardProtocol
from convert.own_keys import PLAIN, PREFIX, PROTOCOLS, own_keys, stated

REWARD = RewardProtocol("token_logits", " tag", good_id=5, bad_id=7)
FACTS: dict[str, Any] = {
    **dict.fromkeys((*PLAIN, *PROTOCOLS)),
    "role": "reward",
    "source": "x/y",
    "reward": REWARD,
    "prompt": PromptFormat("{question}"),
}


def test_every_key_is_a_field_of_an_artifact() -> None:
    names = {field.name for field in fields(Artifact)}
    assert names >= {*PLAIN, *PROTOCOLS}


def test_what_is_written_is_read() -> None:
    values = dict(own_keys(FACTS))
    assert values[PREFIX + "role"] == "reward"
    assert PREFIX + "revision" not in values
    assert RewardProtocol(**stated(values, "reward")) == REWARD
    assert PromptFormat(**stated(values, "prompt")) == FACTS["prompt"]
    assert stated(values, "thought") == {}
