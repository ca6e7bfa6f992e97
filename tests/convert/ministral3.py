"""A tiny Ministral 3 without transformers 5: Mistral's decoder whose queries grow with position."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as tf

BETA, LENGTH = 0.3, 64
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": LENGTH,
}
CONFIG = {
    "model_type": "ministral3",
    "architectures": ["Ministral3ForCausalLM"],
    "rope_scaling": None,
    "rope_parameters": YARN | {"rope_theta": 1e6, "llama_4_scaling_beta": BETA},
}


def save_ministral3(folder: Path, tiny: Callable[..., Any]) -> Any:
    """Save one; returns the model that computes as transformers 5 does."""
    size = {"head_dim": 96, "num_key_value_heads": 1, "max_position_embeddings": 256}
    rope = {"rope_scaling": YARN, "rope_theta": 1e6, "sliding_window": None}
    model = tiny(folder, tf.MistralForCausalLM, tf.MistralConfig, **size, **rope)
    for layer in model.model.layers:
        layer.self_attn.q_proj.register_forward_hook(_grow)
    path = folder / "config.json"
    written = json.loads(path.read_text()) | CONFIG
    path.write_text(json.dumps(written))
    return model


def _grow(_module: Any, _inputs: Any, query: torch.Tensor) -> torch.Tensor:
    """Rotation is linear, so that the scale may come before it; one text from its start."""
    blocks = torch.arange(query.shape[1]) // LENGTH
    return query * (1 + BETA * torch.log1p(blocks.float()))[:, None]
