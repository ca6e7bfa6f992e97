"""A judge fitted to answers whose truth stands in a state, and used by `solve`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.refusal import Refusal
from convert.self_judge import Form, JudgeProtocol, judge_path, write_judge
from methods.candidate import AGGREGATIONS, Candidate
from methods.cli import main as solve
from methods.judge_features import NAMES, step_features
from methods.judges import AGGREGATED, judges
from methods.own_scorers import LogprobScorer
from methods.self_scorer import Judge, open_judge
from profiles.cli import main as profile
from profiles.judge import measure as measuring
from profiles.judge.auc import auc, best_of, by_question, difference
from profiles.judge.fit import _calibrated, fit
from profiles.judge.samples import SampledAnswer, Samples, gathered
from runtime.engine import Branch, Step
from runtime.load import describe_model
from runtime.scripted_engine import SHAPE
from tests.conftest import REFERENCE

LAYERS = (2, 3)
WIDTH = 6  # of both layers together
BENCHMARK = REFERENCE / "benchmark.jsonl"


def _answers(questions: int, seed: int = 0) -> list[list[tuple[tuple[Step, ...], bool]]]:
    """Right answers have a larger number 2 in their last state; number 0 is of the question."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(questions):
        hardness = draw.normal() * 5
        written = []
        for _ in range(6):
            right = bool(draw.random() < 0.5)
            written.append((_steps(draw, hardness, right=right), right))
        found.append(written)
    return found


def _steps(draw: np.random.Generator, hardness: float, *, right: bool) -> tuple[Step, ...]:
    steps = []
    for depth in range(int(draw.integers(1, 4))):
        n = int(draw.integers(1, 5))
        states = draw.normal(size=(n, WIDTH)).astype(np.float32)
        states[:, 0] += hardness
        states[:, 2] += 4 * right
        numbers = [tuple((-draw.random(n)).tolist()), tuple(draw.random(n).tolist())]
        ids = tuple(range(n))
        steps.append(Step(f"{depth}", ids, numbers[0], "stop", numbers[1], tuple(states)))
    return tuple(steps)


def _samples(answers: list[list[tuple[tuple[Step, ...], bool]]]) -> Samples:
    return gathered(
        [[SampledAnswer.of(steps, "1", right=right) for steps, right in one] for one in answers],
        LAYERS,
    )


def _held(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    return samples.questions[:20], samples.questions[20:40]


@pytest.mark.parametrize("form", ["layers", "gated"])
def test_heads_find_what_tells_right_from_wrong(form: Form) -> None:
    samples = _samples(_answers(120))
    stopping, judging = _held(samples)
    fitted = fit(samples, form, LAYERS, stopping, judging)
    ends = samples.last & np.isin(samples.question, judging)
    assert auc(fitted.scores[ends], samples.right[ends], samples.question[ends]) > 0.95
    blind = fit(samples, form, (), stopping, judging)
    assert auc(blind.scores[ends], samples.right[ends], samples.question[ends]) < 0.65


@pytest.mark.parametrize("form", ["layers", "gated"])
@pytest.mark.parametrize("layers", [LAYERS, (3,), ()])
def test_heads_in_numpy_score_as_they_were_fitted(form: Form, layers: tuple[int, ...]) -> None:
    answers = _answers(60)
    samples = _samples(answers)
    fitted = fit(samples, form, layers, *_held(samples))
    judge = _judge(form, layers, fitted.tensors)
    columns = samples.columns(layers)
    found = []
    for steps in (steps for question in answers for steps, _ in question):
        read = [_read(judge, step, columns) for step in steps]
        found += [judge.logit(read[:depth], step) for depth, step in enumerate(read)]
    assert found == pytest.approx(fitted.scores, abs=2e-2)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_scores_of_any_size_become_chances(size: float) -> None:
    draw = np.random.default_rng(0)
    right = draw.random(400) < 0.7
    scores = (size * (right + 0.5 * draw.normal(size=400))).astype(np.float32)
    slope, shift = _calibrated(scores, right)
    chances = 1 / (1 + np.exp(-(slope * scores + shift)))
    assert chances.mean() == pytest.approx(right.mean(), abs=0.02)
    assert chances[right].mean() > chances[~right].mean() + 0.3


def _judge(form: Form, layers: tuple[int, ...], tensors: dict[str, np.ndarray]) -> Judge:
    protocol = JudgeProtocol("p", "f16", 3, layers, form, 1, 1, 0.5)
    weight = tensors.get("probe.weight")
    return Judge(layers=layers, weight=weight, protocol=protocol, tensors=tensors)


def _read(judge: Judge, step: Step, columns: np.ndarray) -> Step:
    """A step with what an engine reads of its states."""
    states = np.stack(step.readings)[:, columns]
    return replace(step, readings=tuple(judge([states])) if len(columns) else ())


def test_judges_without_a_fit_order_paths_as_a_search_does() -> None:
    answers = _answers(6)
    samples = _samples(answers)
    found = measuring.unfitted(samples, np.flatnonzero(samples.last))
    for name, scores in found.items():
        own = judges(name).own
        assert own is not None
        scorer = LogprobScorer(SHAPE, AGGREGATED[own])
        paths = [steps for question in answers for steps, _ in question]
        whole = [
            AGGREGATIONS[scorer.aggregation](scorer.score([Candidate(Branch(0))] * len(p), p))
            for p in paths
        ]
        assert np.argsort(whole).tolist() == np.argsort(scores).tolist(), name


def test_features_are_of_the_step_and_of_the_path() -> None:
    first = Step("a", (1, 2), (-1.0, -3.0), "stop", (0.5, 1.5))
    second = Step("b", (3,), (-2.0,), "eos", (1.0,))
    found = dict(zip(NAMES, step_features([first], second).tolist(), strict=True))
    assert found == pytest.approx(
        {
            "least": -2,
            "mean": -2,
            "sum": -2,
            "entropy": 1,
            "entropy_most": 1,
            "surprise": -1,
            "surprise_most": -1,
            "tokens": 0,
            "path_sum": -6,
            "path_least": -3,
            "path_mean": -2,
            "path_entropy": 1,
            "depth": 1,
            "ended": 1,
            "cut": 0,
        }
    )


def test_an_auc_is_within_a_question() -> None:
    scores = np.array([0.9, 0.4, 0.5, 0.5, 0.5, 7.0])
    right = np.array([True, True, False, True, False, True])
    question = np.array([0, 0, 0, 1, 1, 2])
    assert by_question(scores, right, question) == {0: 0.5, 1: 0.5}
    assert best_of(scores, right, question).tolist() == [1, 1, 1]
    assert best_of(-scores, right, question).tolist() == [1, 1, 1]
    found = difference(np.where(right, 1.0, 0.0), scores, right, question)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def _written(folder: Path, **changes: object) -> Path:
    path = folder / "p.judge.safetensors"
    protocol = replace(JudgeProtocol("p", "f16", 256, (1,), "gated", 1, 1, 0.5), **changes)  # type: ignore[arg-type]
    write_judge(path, protocol, {"tokens.weight": np.zeros((2, 2), np.float32)})
    return path


def test_a_judge_is_for_its_policy_and_as_it_was_written(
    reference: Callable[[str, str], Path], tmp_path: Path
) -> None:
    policy = describe_model(reference("policy", "q8_0"))
    assert open_judge(_written(tmp_path), policy).protocol.form == "gated"
    with pytest.raises(Refusal, match="reads states of width 64, those of p; policy"):
        open_judge(_written(tmp_path, hidden=64), policy)
    with pytest.raises(Refusal, match="has 256 and 4 layers"):
        open_judge(_written(tmp_path, layers=(4,)), policy)
    path = _written(tmp_path)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Refusal, match="is not the file that its manifest names"):
        open_judge(path, policy)


def test_without_a_judge_self_says_what_to_do(
    reference: Callable[[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "mine.gguf"
    policy.symlink_to(reference("policy", "q8_0"))
    assert solve(["How many?", "--policy", str(policy), "--reward", "self"]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "mine.gguf has no judge of its own; fit one with profile judge fit" in said
    assert "--reward logprob-mean, which needs no fit" in said


@pytest.fixture
def policy(reference: Callable[[str, str], Path], tmp_path: Path) -> Path:
    """A policy with a judge beside it, fitted to a few questions."""
    path = tmp_path / "mine.gguf"
    path.symlink_to(reference("policy", "q4_k_m"))
    return path


def test_a_judge_is_fitted_and_used_without_a_second_model(
    policy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--data", str(BENCHMARK), "--limit", "24", "--samples", "4", "--threads", "1", "--json"]
    fitting = ["judge", "fit", "--policy", str(policy), "--device", "cpu", *few]
    assert profile(fitting) == 1
    assert "are the least that a judge is fitted to" in capsys.readouterr().err
    monkeypatch.setattr(measuring, "LEAST", 2)
    monkeypatch.setattr(measuring, "TO_JUDGE", 0.3)
    assert profile(fitting) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["judge"] for row in rows[:3]] == ["logprob-mean", "logprob", "logprob-min"]
    assert [row["layers"] for row in rows[3:]] == ["1 2 3", "1 2 3"]
    assert judge_path(policy).exists()
    question = "Mia bakes 6 trays of 8 rolls and sells 20 of them. How many rolls are left?"
    asked = [question, "--policy", str(policy), "--reward", "self", "--threads", "1", "--json"]
    assert solve([*asked, "--device", "cpu", "--width", "4"]) == 0
    answer = json.loads(capsys.readouterr().out)
    scores = [score for path in answer["candidates"] for score in path["scores"]]
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) > 1
    assert _tokens(answer) == 0


def _tokens(answer: dict[str, dict[str, int]]) -> int:
    """Those that a reward model evaluated."""
    return sum(n for name, n in answer["scorer_usage"].items() if name.endswith("_tokens"))
