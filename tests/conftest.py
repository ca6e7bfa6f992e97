"""Models the tests share: the reference pair at a few levels, and seeded two-layer checkpoints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "convert" / "reference"
BENCHMARK = REFERENCE / "benchmark.jsonl"

Reference = Callable[[str, str], Path]


def pytest_unconfigure() -> None:
    """Close the two files that llama_cpp opens on import, or they warn after the verdict."""
    if utilities := sys.modules.get("llama_cpp._utils"):
        utilities.outnull_file.close()
        utilities.errnull_file.close()


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """`reference("policy", "q4_k_m")` is the path of that GGUF, converted once a session."""
    folder = tmp_path_factory.mktemp("models")

    def convert(role: str, level: str) -> Path:
        from convert.ensure import ensure

        return ensure(f"reference:{role}", level, folder).path

    return convert


@pytest.fixture(scope="session")
def questions() -> list[str]:
    lines = BENCHMARK.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines]


@pytest.fixture(scope="session")
def solutions() -> list[str]:
    """Gold solutions of the benchmark in the policy's own form."""
    return [_solution(json.loads(line)["answer"]) for line in BENCHMARK.read_text().splitlines()]


def _solution(answer: str) -> str:
    *steps, result = answer.split("\n")
    steps[-1] += " The answer is: " + result.removeprefix("#### ")
    return "\n".join(f"Step {k}: {step} ки" for k, step in enumerate(steps, 1))


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """`tiny(folder, model_class, **config)` saves a seeded two-layer checkpoint into a folder."""
    import shutil

    import torch

    def save(folder: Path, model_class: Any, config_class: Any, **changes: Any) -> Any:
        torch.manual_seed(0)
        sizes = {
            "vocab_size": 1024,
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "tie_word_embeddings": False,
        }
        model = model_class(config_class(**sizes | changes)).eval()
        model.save_pretrained(folder)
        for path in (REFERENCE / "policy").glob("tokenizer*"):
            shutil.copy(path, folder)
        return model

    return save
