"""How many weights a checkpoint has, as it is stored and as it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import transformers as tf

from convert.checkpoint import read_checkpoint
from convert.sizes import weights_of_checkpoint


def test_a_tied_projection_counts_once(
    tmp_path: Path, tiny: Callable[..., Any], edit: Callable[..., None]
) -> None:
    model = tiny(tmp_path, tf.Qwen3ForCausalLM, tf.Qwen3Config, tie_word_embeddings=True)
    edit(tmp_path, **{"lm_head.weight": np.zeros((1024, 256), np.float32)})  # as Qwen3-0.6B is
    weights = weights_of_checkpoint(read_checkpoint(tmp_path), "policy")
    assert weights.total == weights.model == model.num_parameters()
    assert weights.tables == 1024 * 256
