"""Models the tests share: the reference pair at a few levels, and seeded two-layer checkpoints."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "convert" / "reference"
BENCHMARK = REFERENCE / "benchmark.jsonl"

Reference = Callable[[str, str], Path]


def pytest_configure() -> None:
    """Signals reach the commands under test, though `nohup` or `&` had them ignored here."""
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
    return save_tiny


@pytest.fixture
def tiny_thinker() -> Callable[..., Path]:
    """`tiny_thinker(folder)` saves a seeded two-layer Quiet-STaR checkpoint there.

    Its talk head weighs thoughts with 0.1 to 1 in size, and START and END embed like other tokens.
    """
    return _save_tiny_thinker


def _save_tiny_thinker(folder: Path, *, max_thoughts: int = 10, seed: int = 0) -> Path:
    import torch
    import transformers as tf
    from safetensors.torch import save_file

    sizes = {"vocab_size": 1026, "max_thoughts": max_thoughts, "initializer_range": 0.06}
    model = save_tiny(folder, tf.MistralForCausalLM, tf.MistralConfig, seed=seed, **sizes)
    shapes = {
        "talk_head.0.0.weight": (256, 512),
        "talk_head.0.0.bias": (256,),
        "talk_head.0.2.weight": (256, 256),
        "talk_head.0.2.bias": (256,),
        "talk_head.0.4.weight": (1, 256),
        "start_embedding": (2, 256),
        "end_embedding": (2, 256),
    }
    tensors = {name: 0.06 * torch.randn(shape) for name, shape in shapes.items()}
    for name in ("start_embedding", "end_embedding"):
        tensors[name] /= 100  # as they are stored
    tensors |= model.state_dict()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["added_tokens"] += [
        document["added_tokens"][0] | {"id": 1024 + k, "content": token}
        for k, token in enumerate(("<|startthought|>", "<|endthought|>"))
    ]
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return folder


def save_tiny(
    folder: Path, model_class: Any, config_class: Any, *, seed: int = 0, **changes: Any
) -> Any:
    import shutil

    import torch

    torch.manual_seed(seed)
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
