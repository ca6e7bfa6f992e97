"""The models of a configuration, opened as its file says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from convert.artifact import RewardProtocol
from profiles.records.configuration import Configuration
from profiles.run.models import open_models
from runtime.options import EngineOptions


def test_a_stated_protocol_reaches_the_reward_model(
    configuration: Callable[..., Configuration], reference: Callable[[str, str], Path]
) -> None:
    path = reference("policy", "q8_0")
    protocol = RewardProtocol("token_logits", "!", good_id=3, bad_id=4)
    options = EngineOptions(device="cpu", threads=1)
    made = configuration("rebase", policy=path, reward=path, options=options)
    with open_models(replace(made, reward_protocol=protocol)) as models:
        assert models.policy.artifact.role == "policy"
        assert models.reward is not None
        assert models.reward.artifact.reward == protocol
