"""Scores from the policy's own states, by the heads that `profile judge fit` fitted to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from convert.artifact import Aggregation, Artifact
from convert.self_judge import JudgeProtocol, read_judge
from methods.candidate import Candidate
from methods.judge_features import step_features, token_features
from methods.problem import Problem
from runtime.engine import Branch, Engine, Step, Usage
from runtime.probe import Probe

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Judge(Probe):
    """Heads, and the probe that gives them what they read of the states."""

    protocol: JudgeProtocol
    tensors: dict[str, Floats]

    def logit(self, before: Sequence[Step], step: Step) -> float:
        """Of the chance that a path which goes on like this ends right."""
        return HEADS[self.protocol.form](self.tensors, before, step)


def _layers(tensors: dict[str, Floats], before: Sequence[Step], step: Step) -> float:
    """Two layers with a ReLU between: of the probe's rows half read the end, half the mean."""
    inner = tensors["features.weight"] @ step_features(before, step) + tensors["features.bias"]
    if step.readings:
        half = len(inner)
        inner += step.readings[-1][:half] + np.mean([r[half:] for r in step.readings], axis=0)
    return float(tensors["out.weight"] @ np.maximum(inner, 0) + tensors["out.bias"][0])


def _gated(tensors: dict[str, Floats], before: Sequence[Step], step: Step) -> float:
    """SWIFT's mean over tokens: sum of sigmoid(gate) * value over the sum of sigmoid(gate)."""
    steps = (*before, step)
    rows = token_features(steps) @ tensors["tokens.weight"].T + tensors["tokens.bias"]  # (T, 2)
    if step.readings:
        rows += np.stack([reading for s in steps for reading in s.readings])
    gates = 1 / (1 + np.exp(-rows[:, 0]))
    return float((gates * rows[:, 1]).sum() / gates.sum())


HEADS: dict[str, Callable[[dict[str, Floats], Sequence[Step], Step], float]] = {
    "layers": _layers,
    "gated": _gated,
}


def open_judge(path: Path, policy: Artifact) -> Judge:
    """The judge in a file, for this policy; raises as `read_judge` does."""
    protocol, tensors = read_judge(path, policy)
    weight = tensors.get("probe.weight")
    return Judge(layers=protocol.layers, weight=weight, protocol=protocol, tensors=tensors)


class SelfScorer:
    """A policy that was opened with its judge: every score is of numbers that decoding had."""

    def __init__(self, policy: Engine) -> None:
        assert isinstance(policy.probe, Judge)
        self.shape, self.usage, self.seconds = policy.artifact.shape, Usage(), 0.0
        self._judge = policy.probe

    @property
    def aggregation(self) -> Aggregation:
        return self._judge.protocol.aggregation

    def open(self, problem: Problem, root: Branch) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def score(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[float]:
        started = time.perf_counter()
        scores = [self._score(c, step) for c, step in zip(candidates, steps, strict=True)]
        self.seconds += time.perf_counter() - started
        return scores

    def holds(self, branch: Branch) -> bool:  # noqa: ARG002
        return True

    def release(self, branches: Sequence[Branch]) -> None:
        """Nothing is kept."""

    def _score(self, candidate: Candidate, step: Step) -> float:
        if not step.token_ids:
            return candidate.score
        return float(1 / (1 + np.exp(-self._judge.logit(candidate.steps, step))))
