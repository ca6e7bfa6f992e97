"""Reward models with heads of their own: in GGUF and ONNX, against transformers and torch.nn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM, MistralModel

from convert.ensure import ensure
from methods.candidate import Candidate
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from runtime.engine import Step
from runtime.load import EngineOptions, open_engine

HIDDEN = 256


def _two_layers() -> dict[str, torch.Tensor]:
    first, last = torch.nn.Linear(HIDDEN, 64), torch.nn.Linear(64, 2)
    return {
        "score.0.weight": first.weight,
        "score.0.bias": first.bias,
        "score.2.weight": last.weight,
        "score.2.bias": last.bias,
    }


def _one_layer() -> dict[str, torch.Tensor]:
    layer = torch.nn.Linear(HIDDEN, 2)
    return {"score.weight": layer.weight, "score.bias": layer.bias}


def _value() -> dict[str, torch.Tensor]:
    layer = torch.nn.Linear(HIDDEN, 1)
    return {"v_head.summary.weight": layer.weight, "v_head.summary.bias": layer.bias}


def _probability(head: dict[str, torch.Tensor], hidden: torch.Tensor) -> torch.Tensor:
    """What the head's own model card computes, in torch."""
    linear = torch.nn.functional.linear
    if "v_head.summary.weight" in head:
        values = linear(hidden, head["v_head.summary.weight"], head["v_head.summary.bias"])
        return values.sigmoid()[:, 0]
    if "score.weight" in head:
        return linear(hidden, head["score.weight"], head["score.bias"]).softmax(-1)[:, 1]
    middle = linear(hidden, head["score.0.weight"], head["score.0.bias"]).relu()
    return linear(middle, head["score.2.weight"], head["score.2.bias"]).softmax(-1)[:, 1]


@pytest.mark.parametrize("make", [_two_layers, _one_layer, _value])
@pytest.mark.parametrize("level", ["f16", "q8_0", "fp32", "int8"])
def test_heads_score_like_torch(
    make: Callable[[], dict[str, torch.Tensor]],
    level: str,
    tiny: Callable[..., Any],
    tmp_path: Path,
    questions: list[str],
    solutions: list[str],
) -> None:
    if level in ("fp32", "int8"):
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    folder = tmp_path / "model"
    tiny(folder, MistralForCausalLM, MistralConfig)
    torch.manual_seed(1)
    head = {name: (2 * tensor).detach() for name, tensor in make().items()}
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors | head, folder / "model.safetensors", metadata={"format": "pt"})

    kind = "value" if "v_head.summary.weight" in head else "classify"
    reward = {"kind": kind, "step_tag": "\n", "between": ""}
    (folder / "protocol.json").write_text(json.dumps({"role": "reward", "reward": reward}))

    path = ensure(str(folder), level, tmp_path / "out").path
    options = EngineOptions(device="cpu", threads=1)
    backbone = MistralModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ours, theirs, exact = [], [], []
    with open_engine(path, options) as engine, open_engine(folder, options) as full:
        for question, solution in zip(questions[:20], solutions[:20], strict=True):
            lines = [line.removesuffix(" ки") for line in solution.split("\n")]
            ours += _scores(engine, question, lines)
            exact += _scores(full, question, lines)
            theirs += _expected(engine.artifact.reward, head, backbone, tokenizer, question, lines)
    assert np.std(theirs) > 0.02
    assert np.abs(np.subtract(exact, theirs)).max() < 1e-4
    assert np.abs(np.subtract(ours, theirs)).max() < {"fp32": 1e-4, "f16": 2e-3}.get(level, 2e-2)


def _scores(engine: Any, question: str, lines: list[str]) -> list[float]:
    scorer = ProcessRewardScorer(engine, "ки")
    with engine.open([1]) as root, scorer.open(Problem("0", question), root):
        candidate = Candidate(root)
        for line in lines:
            (score,) = scorer.score([candidate], [Step(line, (), (), "stop")])
            candidate = candidate.grown(Step(line, (), (), "stop"), score, finished=False)
    return list(candidate.scores)


def _expected(
    protocol: Any,
    head: dict[str, torch.Tensor],
    backbone: Any,
    tokenizer: Any,
    question: str,
    lines: list[str],
) -> list[float]:
    """The head on the hidden state of every step's last token, all in one forward pass."""
    text = protocol.template.replace("{question}", question) + protocol.join
    ids = tokenizer(text + "".join(line + protocol.step_tag for line in lines)).input_ids
    (newline,) = set(tokenizer("\n", add_special_tokens=False).input_ids[-1:])
    ends = [i for i, token in enumerate(ids) if token == newline][-len(lines) :]
    with torch.inference_mode():
        hidden = backbone(torch.tensor([ids])).last_hidden_state[0, ends]
        return list(_probability(head, hidden).tolist())
