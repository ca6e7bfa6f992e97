"""What is torch's own: a cache that grows, and the ends that a checkpoint states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from runtime.engine import Engine, Sampling
from runtime.load import EngineOptions, open_engine
from runtime.torch_engine import FULL, SLIDING

LONG = 1500  # tokens; a slot starts with 256
OPTIONS = EngineOptions(device="cpu", threads=1, context=2048, max_branches=8)


@pytest.fixture
def engine(tmp_path: Path, tiny: Callable[..., Any]) -> Engine:
    tiny(tmp_path, tf.MistralForCausalLM, tf.MistralConfig, max_position_embeddings=2048)
    return open_engine(tmp_path, OPTIONS)


def test_forks_of_long_texts_equal_a_fresh_open(engine: Engine, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(3, 1024, LONG).tolist()
    ends = [rng.integers(3, 1024, 40).tolist() for _ in range(3)]
    exact = tf.MistralForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with engine.open(ids[:200]) as root:
        engine.fork(root, 1)  # of a cache that has not grown
        engine.feed([root], [ids[200:900]])
        (branch,) = engine.fork(root, 1)
        engine.feed([branch], [ids[900:]])
        children = engine.fork(branch, 3)
        engine.feed(children, ends)
        engine.rewind(children[0], LONG)
        (late,) = engine.fork(children[0], 1)
        engine.feed([children[0], late], [ends[0], ends[2]])
        rows = engine.logits([*children, late]).copy()
    for row, end in zip(rows, [*ends, ends[2]], strict=True):
        with engine.open([*ids, *end]) as fresh:
            assert np.abs(engine.logits([fresh])[0] - row).max() < 1e-4
        with torch.inference_mode():
            theirs = exact(torch.tensor([[*ids, *end]])).logits[0, -1].numpy()
        assert np.abs(theirs - row).max() < 1e-4


def test_it_ends_where_generation_config_says(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    tiny(tmp_path, tf.MistralForCausalLM, tf.MistralConfig, eos_token_id=3)
    greedy = Sampling(temperature=0, max_tokens=5)
    with open_engine(tmp_path, OPTIONS) as engine, engine.open([5, 6, 7]) as root:
        assert engine.tokenizer.eos_ids == {2, 3}  # the tokenizer's own is 2
        (step,) = engine.extend([root], greedy)
    last = step.token_ids[2]
    (tmp_path / "generation_config.json").write_text(f'{{"eos_token_id": [9, {last}]}}')
    with open_engine(tmp_path, OPTIONS) as engine, engine.open([5, 6, 7]) as root:
        assert engine.tokenizer.eos_ids == {2, 3, 9, last}
        (step,) = engine.extend([root], greedy)
    assert step.finish == "eos"
    assert last not in step.token_ids


@pytest.mark.parametrize("kinds", [(FULL, SLIDING), (SLIDING, SLIDING), (FULL, FULL)])
def test_windows_of_some_layers(
    tmp_path: Path, tiny: Callable[..., Any], kinds: tuple[str, str]
) -> None:
    changes = {"layer_types": list(kinds), "sliding_window": 32, "head_dim": 64}
    exact = tiny(tmp_path, tf.MinistralForCausalLM, tf.MinistralConfig, **changes)
    ids = np.random.default_rng(0).integers(3, 1024, 100).tolist()
    with torch.inference_mode():
        theirs = exact(torch.tensor([ids])).logits[0, -1].numpy()
    with open_engine(tmp_path, OPTIONS) as engine, engine.open(ids[:70]) as root:
        engine.feed([root], [ids[70:]])
        assert np.abs(engine.logits([root])[0] - theirs).max() < 1e-4
