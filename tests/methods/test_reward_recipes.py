"""Step scores of every preset against the published recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as tf

from convert.ensure import ensure_all
from runtime.engine import Step
from runtime.load import EngineOptions, open_engine
from tests.methods import reward_layouts as layouts
from tests.methods import reward_recipes as recipes
from tests.methods.scored_path import line_scores, path_scores, solved

OPTIONS = EngineOptions(device="cpu", threads=1, max_branches=32)

CASES = {
    "math-shepherd-mistral-7b-prm": (layouts.shepherd, recipes.shepherd),
    "Llama3.1-8B-PRM-Deepseek-Data": (layouts.rlhflow, recipes.rlhflow),
    "Skywork-o1-Open-PRM-Qwen-2.5-1.5B": (layouts.skywork, recipes.skywork),
    "Qwen2.5-Math-PRM-7B": (layouts.qwen_prm, recipes.qwen_prm),
    "Qwen2.5-0.5B-Math-Shepherd-PRM-0.2": (layouts.trl_qwen, recipes.trl),
    "Qwen2.5-Math-1.5B-Instruct-PRM-0.2": (layouts.trl_qwen, recipes.trl_blank_line),
    "Mistral-7B-v0.1-Math-Shepherd-PRM-token-0.1": (layouts.trl_mistral, recipes.trl),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_are_the_recipes(
    name: str,
    tiny: Callable[..., Any],
    tmp_path: Path,
    questions: list[str],
    solutions: list[str],
) -> None:
    make, recipe = CASES[name]
    folder = tmp_path / name
    make(folder, tiny, [*questions[:200], *(line for s in solved(solutions[:200]) for line in s)])
    problems = list(zip(questions[:4], solved(solutions[:4]), strict=True))
    theirs = [score for q, lines in problems for score in recipe(folder, q, lines)]
    assert np.std(theirs) > 0.01  # they say something
    pytest.importorskip("onnx")
    gguf, onnx = (made.path for made in ensure_all(str(folder), ["f16", "fp32"], tmp_path / "out"))
    for path, tolerance in ((folder, 1e-5), (gguf, 1e-3), (onnx, 1e-4)):
        with open_engine(path, OPTIONS) as engine:
            for stop in ("\n\n", " ки\n"):
                ours = [s for q, lines in problems for s in line_scores(engine, q, lines, stop)]
                assert np.abs(np.subtract(ours, theirs)).max() < tolerance, (path, stop)


@pytest.fixture
def lines(tiny: Callable[..., Any], tmp_path: Path, solutions: list[str]) -> Path:
    """A model that scores lines, with a tokenizer that merges a full stop and a line's end."""
    folder = tmp_path / "Skywork-o1-Open-PRM"
    layouts.skywork(folder, tiny, [line for s in solved(solutions[:200]) for line in s])
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer.encode("rolls.\n")) == len(tokenizer.encode("rolls."))
    return folder


def test_a_step_of_several_lines_has_the_score_of_its_last(
    lines: Path, questions: list[str], solutions: list[str]
) -> None:
    first, second, third, *_ = solved(solutions)[0]
    theirs = recipes.skywork(lines, questions[0], [first, second, third])
    steps = [Step(f"{first}\n{second}\n\n", (), (), "stop"), Step(third, (), (), "eos")]
    with open_engine(lines, OPTIONS) as engine:
        assert path_scores(engine, questions[0], steps, "\n\n") == pytest.approx(
            theirs[1:], abs=1e-5
        )


def test_a_step_in_pieces_ends_with_the_score_of_the_whole(
    lines: Path, questions: list[str], solutions: list[str]
) -> None:
    first, second, third, *_ = solved(solutions)[0]
    theirs = recipes.skywork(lines, questions[0], [first, second, third])
    pieces = [
        Step("Step 1: The sales bring", (), (), "length"),
        Step(first.removeprefix("Step 1: The sales bring") + "\n", (), (), "length"),
        Step("\n\n", (), (), "stop"),  # says nothing but that it is over
        Step(f"{second}\n\n", (), (), "stop"),
        Step(third, (), (), "length"),
    ]
    assert first == pieces[0].text + pieces[1].text.rstrip()
    with open_engine(lines, OPTIONS) as engine:
        ours = path_scores(engine, questions[0], pieces, "\n\n")
    assert ours[1:] == pytest.approx([theirs[0], *theirs], abs=1e-5)


def test_a_protocol_of_earlier_versions_reads_what_the_policy_wrote(
    reference: Callable[[str, str], Path], questions: list[str], solutions: list[str]
) -> None:
    folder = Path(layouts.__file__).parents[2] / "convert" / "reference" / "reward"
    lines = solved(solutions)[0]
    theirs = recipes.shepherd(folder, questions[0], lines)
    with open_engine(reference("reward", "f16"), OPTIONS) as engine:
        protocol = engine.artifact.reward
        assert protocol is not None
        engine.artifact = replace(engine.artifact, reward=replace(protocol, between=None))
        steps = [Step(f"\n{line} ки", (), (), "stop") for line in lines]
        ours = path_scores(engine, questions[0], steps, "ки")
    assert ours == pytest.approx(theirs, abs=2e-3)
