"""Reward heads give what the torch modules give, and their backbones open in stock llama.cpp."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from safetensors.numpy import save
from safetensors.torch import save_file
from torch import nn

from convert.build import build
from convert.gguf_artifact import artifact_from_gguf
from convert.heads import read_heads, read_talk_head
from convert.levels import parse_level
from convert.order import Order
from convert.refusal import Refusal
from convert.sources import resolve
from convert.torch_artifact import artifact_from_folder
from tests.convert.small_gguf import write_small
from tests.convert.stock_llama import Stock

HEADS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "value": ("v_head.summary", lambda: nn.Linear(256, 1)),
    "one layer": ("score", lambda: nn.Linear(256, 2)),
    "no bias": ("score", lambda: nn.Linear(256, 1, bias=False)),
    "two layers": (
        "score",
        lambda: nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2)),
    ),
}


@pytest.fixture
def judge(tmp_path, tiny):
    """`judge(kind)`: a Qwen2 backbone with a head and without output projection, and both."""

    def make(kind: str) -> tuple[Any, Any, nn.Module]:
        folder = tmp_path / "judge"
        model = tiny(folder, tf.Qwen2ForCausalLM, tf.Qwen2Config)
        prefix, layer = HEADS[kind]
        head = layer().eval()
        tensors = {n: t for n, t in model.state_dict().items() if n != "lm_head.weight"}
        tensors |= {f"{prefix}.{name}": t for name, t in head.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder, model.model, head

    return make


@pytest.mark.parametrize("kind", HEADS)
def test_scores_match_torch(tmp_path, judge, kind):
    folder, backbone, head = judge(kind)
    (artifact,) = build(Order(resolve(str(folder)), [parse_level("f32")], tmp_path / "out"))
    ids = list(range(3, 43))
    with torch.inference_mode():
        expected = head(backbone(input_ids=torch.tensor([ids])).last_hidden_state)[0].numpy()
    with Stock(artifact.path) as stock:
        scores = read_heads(artifact)(stock.hidden(ids))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    np.testing.assert_array_equal(
        read_heads(artifact)(np.ones((3, 256), np.float32)),
        read_heads(artifact_from_folder(folder))(np.ones((3, 256), np.float32)),
    )
    assert artifact.role == "reward"
    assert artifact.reward is not None
    assert artifact.reward.kind == ("classify" if expected.shape[1] == 2 else "value")
    assert artifact_from_gguf(artifact.path).heads == artifact.heads
    assert re.fullmatch(r"judge-[0-9a-f]{12}\.heads\.safetensors", artifact.heads)
    assert set(artifact.sha256) == {"judge-f32.gguf", artifact.heads}


def test_heads_follow_a_gguf_that_is_converted_again(tmp_path, judge):
    folder, _, _ = judge("two layers")
    (full,) = build(Order(resolve(str(folder)), [parse_level("f16")], tmp_path / "full"))
    again = Order(resolve(str(full.path)), [parse_level("q8_0")], tmp_path / "small")
    (small,) = build(again)
    rows = np.ones((2, 256), np.float32)
    np.testing.assert_array_equal(read_heads(small)(rows), read_heads(full)(rows))
    full.heads_path.unlink()
    with pytest.raises(FileNotFoundError, match=r"heads.safetensors is missing"):
        read_heads(full)


def test_a_head_of_the_wrong_width_is_named(mistral, edit):
    edit(mistral, **{"score.weight": np.ones((2, 100), np.float32)})
    with pytest.raises(ValueError, match=r"score.weight has shape \[2, 100\], expected \[n, 256\]"):
        read_heads(artifact_from_folder(mistral))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"score.weight": np.full((1, 64), np.nan, np.float32)}, r"score.weight of other than fin"),
        ({"score.weight": np.ones((1, 64), np.int32)}, r"score.weight of other than finite floats"),
        ({"score.weight": np.ones((1, 63), np.float32)}, r"shape \[1, 63\], expected \[n, 64\]"),
        ({"score.weight": np.ones((0, 64), np.float32)}, r"shape \[0, 64\], expected"),
        ({"score.weight": np.ones(64, np.float32)}, r"shape \[64\], expected"),
        ({"score.bias": np.ones(64, np.float32)}, r"no tensor of score.bias is a weight"),
        (
            {"score.weight": np.ones((1, 64), np.float32), "score.bias": np.ones(2, np.float32)},
            r"the bias of score.weight has shape \[2\], expected \[1\]",
        ),
        ({"score.weight": np.ones((2, 64), np.float32)}, r"needs a head of 1 output, it has 2"),
        ({}, r"has no reward head"),
        (b"no safetensors", r"x.heads.safetensors cannot be read: SafetensorError"),
    ],
)
def test_a_heads_file_that_does_not_fit(tmp_path, tensors, message):
    keys = {"role": "reward", "heads": "x.heads.safetensors"}
    keys |= {"reward.kind": "value", "reward.step_tag": "x"}
    changes = {f"starbase.{key}": value for key, value in keys.items()}
    artifact = artifact_from_gguf(write_small(tmp_path / "x.gguf", changes))
    content = tensors if isinstance(tensors, bytes) else save(tensors)
    (tmp_path / "x.heads.safetensors").write_bytes(content)
    with pytest.raises(Refusal, match=message):
        read_heads(artifact)


def test_a_talk_head_gives_one_number(tmp_path):
    keys = {"role": "thinker", "heads": "x.heads.safetensors"}
    keys |= {"thought.start_id": 1, "thought.end_id": 2, "thought.n_ahead": 8}
    changes = {f"starbase.{key}": value for key, value in keys.items()}
    artifact = artifact_from_gguf(write_small(tmp_path / "x.gguf", changes))
    tensors = {"talk_head.weight": np.ones((2, 128), np.float32)}
    (tmp_path / "x.heads.safetensors").write_bytes(save(tensors))
    with pytest.raises(Refusal, match=r"has a talk head of 2 outputs, expected 1"):
        read_talk_head(artifact)


def test_a_pipe_in_place_of_heads(tmp_path):
    os.mkfifo(tmp_path / "x.heads.safetensors")
    changes = {"starbase.heads": "x.heads.safetensors", "starbase.role": "reward"}
    artifact = artifact_from_gguf(write_small(tmp_path / "x.gguf", changes))
    with pytest.raises(Refusal, match=r"is a pipe or a device"):
        read_heads(artifact)
