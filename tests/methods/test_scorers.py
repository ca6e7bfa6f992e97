"""Process-reward scoring against transformers on whole texts, and its exact cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from methods.candidate import Candidate
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from methods.trial import split_steps
from runtime.engine import Engine, Step
from runtime.load import EngineOptions, open_engine
from tests.conftest import REFERENCE

OPTIONS = EngineOptions(device="cpu", threads=1, max_branches=16)
TAG, GOOD, BAD = 269, 312, 325


@pytest.fixture(scope="module")
def judge() -> Iterator[Any]:
    """The reward model in transformers: P(+) at every tag of a whole text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(REFERENCE / "reward")
    model = AutoModelForCausalLM.from_pretrained(REFERENCE / "reward", dtype=torch.float32).eval()

    def scores(question: str, solution: str) -> list[float]:
        ids = tokenizer(f"{question} {solution}", return_tensors="pt").input_ids
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, ids[0] == TAG][:, [GOOD, BAD]]
        return list(logits.softmax(-1)[:, 0].tolist())

    return scores


def _steps(solution: str) -> list[Step]:
    return [Step(text + "ки", (), (), "stop") for text in solution.split("ки")[:-1]]


def _score(engine: Engine, question: str, steps: list[Step]) -> list[float]:
    """Scores of one path, each step by a fork of the branch before it, as a tree does."""
    scorer = ProcessRewardScorer(engine, "ки")
    with engine.open([1]) as root:  # any branch stands for the policy's
        candidate = Candidate(root)
        with scorer.open(Problem("0", question), root):
            for step in steps:
                (branch,) = engine.fork(candidate.branch, 1)
                candidate = Candidate(branch, candidate.steps, candidate.scores)
                (score,) = scorer.score([candidate], [step])
                candidate = candidate.grown(step, score, finished=False)
    return list(candidate.scores)


@pytest.mark.parametrize(("level", "tolerance"), [("f16", 2e-3), ("q8_0", 2e-2)])
def test_scores_match_transformers(
    reference: Callable[[str, str], Path],
    questions: list[str],
    solutions: list[str],
    judge: Any,
    level: str,
    tolerance: float,
) -> None:
    ours: list[float] = []
    theirs: list[float] = []
    with open_engine(reference("reward", level), OPTIONS) as engine:
        for question, solution in zip(questions[:45], solutions[:45], strict=True):
            wrong = solution.replace("= 1", "= 2")  # some steps must be bad
            for text in (solution, wrong) if wrong != solution else (solution,):
                ours += _score(engine, question, _steps(text))
                theirs += judge(question, text)
    assert len(ours) == len(theirs) >= 200
    assert np.abs(np.subtract(ours, theirs)).max() < tolerance
    assert np.std(theirs) > 0.05  # the scores say something


def test_torch_engine_scores_like_transformers(
    questions: list[str], solutions: list[str], judge: Any
) -> None:
    with open_engine(REFERENCE / "reward", OPTIONS) as engine:
        ours = _score(engine, questions[0], _steps(solutions[0]))
    assert ours == pytest.approx(judge(questions[0], solutions[0]), abs=1e-4)


def test_a_step_costs_its_own_tokens_and_the_tag(
    reference: Callable[[str, str], Path], questions: list[str], solutions: list[str]
) -> None:
    with open_engine(reference("reward", "f16"), OPTIONS) as engine:
        scorer = ProcessRewardScorer(engine, "ки")
        encode = engine.tokenizer.encode_more
        with engine.open([1]) as root, scorer.open(Problem("0", questions[0]), root):
            first, second = _steps(solutions[0])[:2]
            children = [Candidate(branch) for branch in engine.fork(root, 3)]
            before = engine.usage
            scorer.score(children, [first] * 3)
            spent = engine.usage - before
            assert spent.tokens == 3 * len(encode(" " + first.text))
            assert spent.calls == 1
            grown = [c.grown(first, 0.5, finished=False) for c in children]
            before = engine.usage
            scorer.score(grown[:1], [second])
            assert (engine.usage - before).tokens == len(encode(second.text))


def test_an_unfinished_step_leaves_no_tag_behind(
    reference: Callable[[str, str], Path], questions: list[str], judge: Any
) -> None:
    halves = [
        Step("Step 1: Mia bakes 6 * 8", (), (), "length"),
        Step(" = 48 rolls. ки", (), (), "stop"),
    ]
    with open_engine(reference("reward", "f16"), OPTIONS) as engine:
        scores = _score(engine, questions[0], halves)
    whole = judge(questions[0], "Step 1: Mia bakes 6 * 8 = 48 rolls. ки")
    assert scores[-1] == pytest.approx(whole[-1], abs=2e-3)


def test_completions_split_where_extend_would_stop(
    reference: Callable[[str, str], Path], questions: list[str]
) -> None:
    from runtime.engine import Sampling
    from runtime.prompt import prompt_tokens

    with open_engine(reference("policy", "f16"), OPTIONS) as engine:
        greedy = Sampling(temperature=0, max_tokens=128)
        with engine.open(prompt_tokens(engine, questions[0])) as root:
            (whole,) = engine.extend(engine.fork(root, 1), greedy)
            steps = split_steps(whole, "ки", engine.tokenizer.pieces)
            (branch,) = engine.fork(root, 1)
            for step in steps:
                stepwise = Sampling(temperature=0, max_tokens=128, stop=("ки",))
                assert engine.extend([branch], stepwise)[0].text == step.text
    assert len(steps) > 1
    assert "".join(step.text for step in steps) == whole.text


def test_a_policy_is_no_reward_model(reference: Callable[[str, str], Path]) -> None:
    with (
        open_engine(reference("policy", "f16"), OPTIONS) as engine,
        pytest.raises(ValueError, match="not a reward model"),
    ):
        ProcessRewardScorer(engine, "ки")
