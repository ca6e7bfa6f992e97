"""Models of a configuration that say what they are told to: no file is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from convert.artifact import RewardProtocol
from methods.opened import Models
from profiles.records.configuration import Configuration
from runtime.engine import Engine
from runtime.scripted_engine import ScriptedEngine

SCRIPT = {"step by step.": {" The answer is 5.": 3, " The answer is 6.": 1, " Nothing.": 1}}


def policy(context: int = 65536) -> Engine:
    return ScriptedEngine(SCRIPT, context=context)


def reward(context: int = 65536) -> Engine:
    engine = ScriptedEngine({"\u043a\u0438": {"+": 3, "-": 1}}, context=context)
    protocol = RewardProtocol("token_logits", " \u043a\u0438", good_id=ord("+"), bad_id=ord("-"))
    engine.artifact = replace(engine.artifact, role="reward", reward=protocol)
    return engine


@contextmanager
def scripted(configuration: Configuration) -> Iterator[Models]:
    yield Models(policy(), reward() if configuration.reward else None)
