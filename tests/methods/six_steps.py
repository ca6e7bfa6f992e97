"""A policy whose steps are of six kinds, and a judge to which each kind has a score of its own."""

from __future__ import annotations

import random
from dataclasses import replace

from convert.artifact import RewardProtocol
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from runtime.scripted_engine import ScriptedEngine

PROBLEM = Problem("0", "2 + 3", "5")
STEPS = {f"x{n}\n\n": 1.0 for n in range(6)}
TAG = " \u043a\u0438"


def policy(width: int, ends: float) -> ScriptedEngine:
    """Steps of six kinds, and an answer with the weight `ends`; no branch more than needed."""
    steps = STEPS | {"The answer is: 5\n\n": ends}
    script = {"step by step.": {f" {text}": weight for text, weight in steps.items()}}
    return ScriptedEngine(script | {"\n\n": steps}, max_branches=2 * width + 2)


def judge(width: int, draw: random.Random) -> ProcessRewardScorer:
    """A reward model to which each kind of step has a score of its own."""
    good = {f"x{n}": draw.choice((1, 10, 50, 51, 99)) for n in range(6)} | {"5": 60}
    script = {f"{kind}{TAG}": {"+": x, "-": 100 - x} for kind, x in good.items()}
    script[TAG] = {"+": 1, "-": 1}  # behind a step that a limit cut off
    engine = ScriptedEngine(script, max_branches=2 * width + 2)
    protocol = RewardProtocol("token_logits", TAG, good_id=ord("+"), bad_id=ord("-"))
    engine.artifact = replace(engine.artifact, role="reward", reward=protocol)
    return ProcessRewardScorer(engine, "\n\n")
