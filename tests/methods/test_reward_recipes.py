"""Step scores of every preset against the published recipe, in transformers and torch.nn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from safetensors.torch import load_file

from convert.ensure import ensure_all
from methods.candidate import Candidate
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from runtime.engine import Engine, Step
from runtime.load import EngineOptions, open_engine
from tests.methods import reward_layouts as layouts

Recipe = Callable[[Path, str, Sequence[str]], list[float]]
OPTIONS = EngineOptions(device="cpu", threads=1, max_branches=32)


def _causal(folder: Path) -> Any:
    return tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def _hidden(folder: Path, ids: Sequence[int]) -> torch.Tensor:
    """(T, D): states after the final norm."""
    model = tf.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return torch.as_tensor(model(torch.tensor([ids])).last_hidden_state[0])


def _linear(folder: Path, name: str, states: torch.Tensor) -> torch.Tensor:
    head = load_file(folder / "model.safetensors")
    return torch.nn.functional.linear(states, head[f"{name}.weight"], head[f"{name}.bias"])


def shepherd(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """The model card's code: the whole text at once, scores where the tag stands."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    good, bad = tokenizer.encode("+ -")[1:]
    tag = tokenizer.encode("ки")[-1]
    text = "\n".join(f"{step} ки" for step in steps)
    ids = torch.tensor([tokenizer.encode(f"{question} {text}")])
    with torch.inference_mode():
        scores = _causal(folder)(ids).logits[:, :, [good, bad]].softmax(-1)[:, :, 0]
    return list(scores[ids == tag].tolist())


def rlhflow(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """prm_evaluate.py: a conversation a step, scores three tokens before its end."""
    tokenizer, model = tf.AutoTokenizer.from_pretrained(folder), _causal(folder)
    pair = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]
    conversation: list[dict[str, str]] = []
    scores = []
    for k, step in enumerate(steps):
        text = f"{question} {step}" if k == 0 else step
        conversation += [
            {"role": "user", "content": text},
            {"role": "assistant", "content": "+"},
        ]
        ids = tokenizer.apply_chat_template(conversation, return_tensors="pt")
        with torch.inference_mode():
            scores.append(model(ids).logits[:, -3, pair].softmax(-1)[0, 0].item())
    return scores


def skywork(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """io_utils.py and prm_model.py: every line and its end are encoded apart."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.encode(tokenizer.bos_token + question + "\n")
    ends = []
    for line in "\n".join(steps).split("\n"):
        ids += [*tokenizer.encode(line), tokenizer.encode("\n")[-1]]
        ends.append(len(ids) - 1)
    values = _linear(folder, "v_head.summary", _hidden(folder, ids)[ends])
    return list(values.sigmoid()[:, 0].tolist())


def qwen_prm(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """The model card's code: a chat, steps joined and closed by <extra_0>."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    ids = tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False))
    (separator,) = tokenizer.encode("<extra_0>")
    ends = [i for i, token in enumerate(ids) if token == separator]
    middle = _linear(folder, "score.0", _hidden(folder, ids)[ends]).relu()
    return list(_linear(folder, "score.2", middle).softmax(-1)[:, 1].tolist())


def trl(folder: Path, question: str, steps: Sequence[str], separator: str = "\n") -> list[float]:
    """PRMTrainer.tokenize_row: question, steps and separators are encoded apart."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    ids = encode(question)
    if tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id, *ids]
    ends = []
    for step in steps:
        ids += encode(step) + encode(separator)
        ends.append(len(ids) - 1)
    return list(_linear(folder, "score", _hidden(folder, ids)[ends]).softmax(-1)[:, 1].tolist())


def trl_blank_line(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    return trl(folder, question, steps, "\n\n")


CASES = {
    "math-shepherd-mistral-7b-prm": (layouts.shepherd, shepherd),
    "Llama3.1-8B-PRM-Deepseek-Data": (layouts.rlhflow, rlhflow),
    "Skywork-o1-Open-PRM-Qwen-2.5-1.5B": (layouts.skywork, skywork),
    "Qwen2.5-Math-PRM-7B": (layouts.qwen_prm, qwen_prm),
    "Qwen2.5-0.5B-Math-Shepherd-PRM-0.2": (layouts.trl_qwen, trl),
    "Qwen2.5-Math-1.5B-Instruct-PRM-0.2": (layouts.trl_qwen, trl_blank_line),
    "Mistral-7B-v0.1-Math-Shepherd-PRM-token-0.1": (layouts.trl_mistral, trl),
}


def _solved(solutions: Sequence[str]) -> list[list[str]]:
    """Steps without tags."""
    return [[line.removesuffix(" ки") for line in text.split("\n")] for text in solutions]


def _scores(engine: Engine, question: str, lines: Sequence[str], stop: str) -> list[float]:
    return _path(engine, question, [Step(line + stop, (), (), "stop") for line in lines], stop)


def _path(engine: Engine, question: str, steps: Sequence[Step], stop: str) -> list[float]:
    """Scores of one path, each step by a fork of the branch before it, as a tree does."""
    scorer = ProcessRewardScorer(engine, stop)
    with engine.open([1]) as root, scorer.open(Problem("0", question), root):
        candidate = Candidate(root)
        for step in steps:
            (branch,) = engine.fork(candidate.branch, 1)
            candidate = Candidate(branch, candidate.steps, candidate.scores)
            (score,) = scorer.score([candidate], [step])
            candidate = candidate.grown(step, score, finished=False)
    return list(candidate.scores)


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
    make(folder, tiny, [*questions[:200], *(line for s in _solved(solutions[:200]) for line in s)])
    problems = list(zip(questions[:4], _solved(solutions[:4]), strict=True))
    theirs = [score for q, lines in problems for score in recipe(folder, q, lines)]
    assert np.std(theirs) > 0.01  # they say something
    pytest.importorskip("onnx")
    gguf, onnx = (made.path for made in ensure_all(str(folder), ["f16", "fp32"], tmp_path / "out"))
    for path, tolerance in ((folder, 1e-5), (gguf, 1e-3), (onnx, 1e-4)):
        with open_engine(path, OPTIONS) as engine:
            for stop in ("\n\n", " ки\n"):
                ours = [s for q, lines in problems for s in _scores(engine, q, lines, stop)]
                assert np.abs(np.subtract(ours, theirs)).max() < tolerance, (path, stop)


@pytest.fixture
def lines(tiny: Callable[..., Any], tmp_path: Path, solutions: list[str]) -> Path:
    """A model that scores lines, with a tokenizer that merges a full stop and a line's end."""
    folder = tmp_path / "Skywork-o1-Open-PRM"
    layouts.skywork(folder, tiny, [line for s in _solved(solutions[:200]) for line in s])
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer.encode("rolls.\n")) == len(tokenizer.encode("rolls."))
    return folder


def test_a_step_of_several_lines_has_the_score_of_its_last(
    lines: Path, questions: list[str], solutions: list[str]
) -> None:
    first, second, third, *_ = _solved(solutions)[0]
    theirs = skywork(lines, questions[0], [first, second, third])
    steps = [Step(f"{first}\n{second}\n\n", (), (), "stop"), Step(third, (), (), "eos")]
    with open_engine(lines, OPTIONS) as engine:
        assert _path(engine, questions[0], steps, "\n\n") == pytest.approx(theirs[1:], abs=1e-5)


def test_a_step_in_pieces_ends_with_the_score_of_the_whole(
    lines: Path, questions: list[str], solutions: list[str]
) -> None:
    first, second, third, *_ = _solved(solutions)[0]
    theirs = skywork(lines, questions[0], [first, second, third])
    pieces = [
        Step("Step 1: The sales bring", (), (), "length"),
        Step(first.removeprefix("Step 1: The sales bring") + "\n", (), (), "length"),
        Step("\n\n", (), (), "stop"),  # says nothing but that it is over
        Step(f"{second}\n\n", (), (), "stop"),
        Step(third, (), (), "length"),
    ]
    assert first == pieces[0].text + pieces[1].text.rstrip()
    with open_engine(lines, OPTIONS) as engine:
        ours = _path(engine, questions[0], pieces, "\n\n")
    assert ours[1:] == pytest.approx([theirs[0], *theirs], abs=1e-5)


def test_a_protocol_of_earlier_versions_reads_what_the_policy_wrote(
    reference: Callable[[str, str], Path], questions: list[str], solutions: list[str]
) -> None:
    folder = Path(layouts.__file__).parents[2] / "convert" / "reference" / "reward"
    lines = _solved(solutions)[0]
    theirs = shepherd(folder, questions[0], lines)
    with open_engine(reference("reward", "f16"), OPTIONS) as engine:
        protocol = engine.artifact.reward
        assert protocol is not None
        engine.artifact = replace(engine.artifact, reward=replace(protocol, between=None))
        steps = [Step(f"\n{line} ки", (), (), "stop") for line in lines]
        ours = _path(engine, questions[0], steps, "ки")
    assert ours == pytest.approx(theirs, abs=2e-3)
