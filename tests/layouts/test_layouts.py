"""Every known repository: identity, tokens, prompts, logits and scores equal to transformers'."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers as tf
from scipy.special import log_softmax

from convert.artifact import PromptFormat
from convert.checkpoint import read_checkpoint
from convert.ensure import ensure_all
from convert.identity import identify
from convert.prompt_presets import PRESETS
from runtime.engine import Engine, Sampling
from runtime.examples import EXAMPLES, Example
from runtime.load import EngineOptions, open_engine
from runtime.prompt import instruction, prompt_tokens
from tests.conftest import BENCHMARK
from tests.layouts.checkpoints import Layout, exact_model, save
from tests.layouts.repositories import POLICIES, REWARDS
from tests.methods import reward_recipes as recipes
from tests.methods.scored_path import line_scores, solved

pytest.importorskip("onnx")
OPTIONS = EngineOptions(device="cpu", threads=1, context=2048, max_branches=32)
DIVERGENCE = {"torch": 1e-10, "f16": 1e-5, "fp32": 1e-10}  # nats, from transformers in float32
SCORE_ERROR = 2e-3
ODD = ("  Ann's 1,024 \u00e9ggs\n\nand \U0001f600: how many?", "a</s>b [INST] <|im_end|> c")
TAGS = {"shepherd": " ки", "skywork": "\n", "qwen_prm": "<extra_0>", "trl_blank_line": "\n\n"}


@dataclass(frozen=True, slots=True)
class Built:
    """A layout on disk, opened as a folder (torch), a GGUF (f16) and ONNX (fp32)."""

    layout: Layout
    folder: Path
    tokenizer: Any
    engines: dict[str, Engine]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """Tokenizer files, made once."""
    made: dict[str, Path] = {}

    def make(write: Any) -> Path:
        if write.__name__ not in made:
            folder = tmp_path_factory.mktemp(write.__name__)
            write(folder)
            made[write.__name__] = folder
        return made[write.__name__]

    return make


@pytest.fixture(scope="module", params=[*POLICIES, *REWARDS], ids=lambda x: x.repository)
def built(
    request: pytest.FixtureRequest,
    vocabulary: Callable[[Any], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Built]:
    layout: Layout = request.param
    home = tmp_path_factory.mktemp("layout")
    folder = home / layout.repository
    save(layout, folder, vocabulary(layout.vocabulary))
    gguf, onnx = ensure_all(str(folder), ["f16", "fp32"], home / "made")
    paths = {"torch": folder, "f16": gguf.path, "fp32": onnx.path}
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    with ExitStack() as stack:
        opened = {k: stack.enter_context(open_engine(p, OPTIONS)) for k, p in paths.items()}
        yield Built(layout, folder, tokenizer, opened)


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """200 questions and texts that are none."""
    lines = BENCHMARK.read_text(encoding="utf-8").splitlines()[:200]
    return [*(json.loads(line)["question"] for line in lines), *ODD]


def test_role_and_protocol(built: Built) -> None:
    found = identify(read_checkpoint(built.folder))
    layout = built.layout
    assert found.role == layout.role
    for engine in built.engines.values():
        stated = engine.artifact
        assert (stated.role, stated.prompt, stated.reward) == (
            found.role,
            found.prompt,
            found.reward,
        )
    if layout.role == "reward":
        assert found.reward is not None
        tag = TAGS.get(layout.protocol)
        assert tag is None or found.reward.step_tag == tag
    else:
        assert found.prompt == PRESETS[layout.protocol]


def test_tokens(built: Built, asked: list[str]) -> None:
    theirs = [
        built.tokenizer.encode(text, split_special_tokens=True, verbose=False) for text in asked
    ]
    for name, engine in built.engines.items():
        assert [engine.tokenizer.encode(text) for text in asked] == theirs, name


def test_ends(built: Built) -> None:
    layout = built.layout
    names = {*layout.ends, *layout.generation_ends, built.tokenizer.eos_token}
    expected = set(built.tokenizer.convert_tokens_to_ids(list(names)))
    for name, engine in built.engines.items():
        assert engine.tokenizer.eos_ids == expected, name


def test_prompts(built: Built, asked: list[str]) -> None:
    if built.layout.role == "reward":
        pytest.skip("a reward model is not asked")
    for question in [*asked[:3], *ODD]:
        expected = _prompt(built, question)
        for name, engine in built.engines.items():
            assert prompt_tokens(engine, question) == expected, (name, question)


def test_greedy_text(built: Built, asked: list[str]) -> None:
    _needs_logits(built)
    ids, greedy = built.tokenizer.encode(asked[0]), Sampling(temperature=0, max_tokens=8)
    found = {}
    for name, engine in built.engines.items():
        with engine.open(ids) as root:
            (step,) = engine.extend([root], greedy)
        found[name] = (step.text, step.token_ids, step.finish)
    assert len(set(found.values())) == 1, found


def _prompt(built: Built, question: str) -> list[int]:
    """What transformers makes of it; a policy without a chat template reads the preset's text."""
    preset = PRESETS[built.layout.protocol]
    if preset.template is None:
        content = f"{question}\n\n{instruction(PromptFormat())}"
        ids: list[int] = built.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        return ids
    text = preset.template.format(question=question)
    if preset.shots:
        text = "\n\n".join([*(_shown(example) for example in EXAMPLES), text])
    return list(built.tokenizer.encode(text, split_special_tokens=True))


def _shown(example: Example) -> str:
    """Wei et al. 2022 with a line a step."""
    steps = "\n".join(example.steps)
    return f"Q: {example.question}\nA: {steps}\nThe answer is {example.answer}."


def _needs_logits(built: Built) -> None:
    reward = built.engines["torch"].artifact.reward
    if reward is not None and not reward.reads_logits:
        pytest.skip("a head is read in the output projection's place")


def test_logits(built: Built, asked: list[str]) -> None:
    _needs_logits(built)
    ids = [i for text in asked[:2] for i in built.tokenizer.encode(text)]
    model = exact_model(built.layout, built.folder)
    with torch.inference_mode():
        exact = model(torch.tensor([ids])).logits[0, 1:].numpy()
    for name, engine in built.engines.items():
        assert _divergence(exact, _logits(engine, ids)) < DIVERGENCE[name], name


def _logits(engine: Engine, ids: list[int]) -> npt.NDArray[np.float32]:
    """(T - 1, V): of all tokens but the first."""
    with engine.open(ids[:1]) as root:
        return np.array(engine.feed([root], [ids[1:]], tail=len(ids) - 1).logits)


def _divergence(exact: npt.NDArray[np.float32], ours: npt.NDArray[np.float32]) -> float:
    """Mean KL divergence in nats."""
    p, q = (log_softmax(x.astype(np.float64), axis=-1) for x in (exact, ours))
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def test_scores(built: Built, questions: list[str], solutions: list[str]) -> None:
    if built.layout.role != "reward":
        pytest.skip("a policy gives no scores")
    recipe: recipes.Recipe = getattr(recipes, built.layout.protocol)
    problems = list(zip(questions[:2], solved(solutions[:2]), strict=True))
    theirs = [score for q, lines in problems for score in recipe(built.folder, q, lines)]
    assert np.std(theirs) > 0.01  # they say something
    for name, engine in built.engines.items():
        ours = [score for q, lines in problems for score in line_scores(engine, q, lines, "\n\n")]
        assert np.abs(np.subtract(ours, theirs)).max() < SCORE_ERROR, name
