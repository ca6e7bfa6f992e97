"""How models are asked that do not say so themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert.artifact import PromptFormat
from convert.prompt_presets import PRESETS, ZERO_SHOT, prompt_preset
from convert.protocols import judged
from convert.refusal import Refusal


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("mistralai/Mistral-7B-v0.1", "few-shot"),
        ("mistralai/Mistral-7B-v0.3", "few-shot"),
        ("mistral-7b-v0.1.Q4_K_M.gguf", "few-shot"),
        ("meta-llama/Llama-3.2-1B", "few-shot"),
        ("Meta-Llama-3-8B", "few-shot"),
        ("Llama-2-7b-hf", "few-shot"),
        ("Qwen/Qwen2.5-0.5B", "few-shot"),
        ("Qwen2.5-Math-1.5B", "few-shot"),
        ("Qwen/Qwen3-0.6B-Base", "few-shot"),
        ("models--HuggingFaceTB--SmolLM2-135M", "few-shot"),
        ("peiyi9979/mistral-7b-sft", "math-shepherd"),
        ("ezelikman/quietstar-8-ahead", "zero-shot"),
        ("quietstar-8-ahead-q8_0.gguf", "zero-shot"),
        ("Qwen/Qwen2.5-0.5B-Instruct", "chat"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "chat"),
        ("Qwen/Qwen3-0.6B", "chat"),
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "chat"),
    ],
)
def test_repositories_by_name(name: str, preset: str) -> None:
    assert prompt_preset(name, chat=True) == PRESETS[preset]


def test_the_papers_prompt_stays() -> None:
    assert ZERO_SHOT == "Q: {question}\nA: Let's think step by step."


def test_others_by_what_they_have() -> None:
    assert prompt_preset("mine", chat=True) == PRESETS["chat"]
    assert prompt_preset("mine", chat=False) == PRESETS["few-shot"]
    assert prompt_preset("mine", chat=False, thinks=True) == PRESETS["zero-shot"]
    assert prompt_preset("mine", chat=False, context=512) is None


def test_variables_are_kept_as_text() -> None:
    path = Path("protocol.json")
    for stated in ({"a": False}, '{"a": false}'):
        found = judged(PromptFormat, path, "prompt", {"variables": stated})
        assert json.loads(found.variables or "") == {"a": False}
        assert judged(PromptFormat, path, "prompt", {"variables": found.variables}) == found
    for wrong in ("[1]", "{", 3):
        with pytest.raises(Refusal, match=r"protocol.json"):
            judged(PromptFormat, path, "prompt", {"variables": wrong})
    with pytest.raises(Refusal, match=r"prompt.shots 9; choose a whole number from 0 to 8"):
        judged(PromptFormat, path, "prompt", {"shots": 9})
