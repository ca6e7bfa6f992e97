"""Decoders inside something else give the files that they give alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from convert.checkpoint import read_checkpoint
from convert.refusal import Refusal
from runtime.load import EngineOptions, open_engine
from tests.convert.export import export
from tests.convert.ministral3 import save_ministral3

OPTIONS = EngineOptions(device="cpu", threads=1, context=256, max_branches=2)
IDS = list(range(3, 203))
NAMINGS: dict[str, Callable[[str], str]] = {
    "compiled": lambda name: f"_orig_mod.{name}",
    "compiled within": lambda name: name.replace("layers.", "_orig_mod.layers."),
    "parallel": lambda name: f"module.{name}",
    "both": lambda name: f"module._orig_mod.{name}",
    "fsdp": lambda name: name.replace("layers.1.", "layers.1._fsdp_wrapped_module."),
    "peft": lambda name: f"base_model.model.{name}",
    "multimodal": lambda name: f"language_model.{name}",
    "multimodal since 4.52": lambda name: name.replace("model.", "model.language_model.", 1),
}


def _rename(folder: Path, naming: Callable[[str], str], **added: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    state = {naming(name): tensor for name, tensor in load_file(path).items()}
    save_file(state | added, path, metadata={"format": "pt"})


def _configure(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def _bytes(folder: Path, out: Path) -> bytes:
    export(folder, out)
    return out.read_bytes()


def _logits(folder: Path) -> Any:
    with open_engine(folder, OPTIONS) as engine, engine.open(IDS) as root:
        return engine.logits([root]).copy()


@pytest.mark.parametrize("naming", NAMINGS)
def test_names_that_a_wrapper_left(mistral: Path, tmp_path: Path, naming: str) -> None:
    whole, exact = _bytes(mistral, tmp_path / "x.gguf"), _logits(mistral)
    _rename(mistral, NAMINGS[naming])
    assert _bytes(mistral, tmp_path / "x.gguf") == whole
    assert np.abs(_logits(mistral) - exact).max() < 1e-5


def test_a_model_without_an_output_projection(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    kinds = (tf.LlamaForTokenClassification, tf.LlamaConfig)
    tiny(tmp_path, *kinds, num_labels=2)
    states = []
    for naming in (lambda name: name, NAMINGS["parallel"]):
        _rename(tmp_path, naming)
        with open_engine(tmp_path, OPTIONS) as engine, engine.open(IDS[:50]) as root:
            assert engine.artifact.role == "reward"
            states.append(engine.feed([root], [IDS[50:]], hidden=True).hidden)
    assert np.abs(states[0] - states[1]).max() < 1e-5


def test_two_of_one_name(mistral: Path) -> None:
    _rename(mistral, lambda name: name, **{"module.lm_head.weight": torch.zeros(1024, 256)})
    with pytest.raises(Refusal, match=r"lm_head.weight are one to a decoder; save the model with"):
        _ = read_checkpoint(mistral).tensors


def test_the_text_part_of_mistral3(mistral: Path, tmp_path: Path) -> None:
    whole, exact = _bytes(mistral, tmp_path / "x.gguf"), _logits(mistral)
    _configure(
        mistral,
        lambda config: {
            "model_type": "mistral3",
            "architectures": ["Mistral3ForConditionalGeneration"],
            "text_config": {k: v for k, v in config.items() if k != "model_type"},
            "vision_config": {"model_type": "pixtral", "hidden_size": 32},
        },
    )
    seen = {"vision_tower.patch_conv.weight": torch.zeros(4, 4)}
    _rename(mistral, lambda name: f"language_model.{name}", **seen)
    assert read_checkpoint(mistral).architecture == "mistral"
    assert _bytes(mistral, tmp_path / "x.gguf") == whole
    assert np.abs(_logits(mistral) - exact).max() < 1e-5


def test_torch_opens_ministral3(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    model = save_ministral3(tmp_path, tiny)
    with torch.inference_mode():
        exact = model(torch.tensor([IDS])).logits[0, -1].numpy()
    assert np.abs(_logits(tmp_path)[0] - exact).max() < 1e-5
    with open_engine(tmp_path, OPTIONS) as engine, engine.open(IDS[:100]) as root:
        engine.feed([root], [IDS[100:]])
        assert np.abs(engine.logits([root])[0] - exact).max() < 1e-5


@pytest.mark.parametrize("stated", [1000, 1030])
def test_a_vocabulary_resized_past_its_configuration(
    mistral: Path, tmp_path: Path, stated: int
) -> None:
    whole, exact = _bytes(mistral, tmp_path / "x.gguf"), _logits(mistral)
    _configure(mistral, lambda config: config | {"vocab_size": stated})
    assert read_checkpoint(mistral).shape.vocab == 1024
    assert _bytes(mistral, tmp_path / "x.gguf") == whole
    assert np.abs(_logits(mistral) - exact).max() < 1e-5


def test_a_vocabulary_resized_by_half(mistral: Path, edit: Callable[..., None]) -> None:
    edit(mistral, **{"lm_head.weight": np.zeros((1026, 256), np.float32)})
    said = r"1024 and 1026 rows of .*; resize both: model.resize_token_embeddings\(1026\)"
    with pytest.raises(Refusal, match=said):
        read_checkpoint(mistral)
