"""LoRA adapters as peft saves them, merged into the weights of their model when these are read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from convert import bounds
from convert.files import read_json
from convert.refusal import Refusal
from convert.safetensors_file import open_safetensors
from convert.tensor import Array, Tensor
from convert.wrapped import decoder_tensors

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ABSENT = (  # settings of layouts that are more than a product of two matrices
    "use_dora",
    "fan_in_fan_out",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "trainable_token_indices",
)
MERGE = "merge it with peft: model.merge_and_unload(), and convert what that saves"


def merged(tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The tensors of a model with those of an adapter folder added: W + scale * B A, in float32.

    Raises:
        FileNotFoundError: if the folder holds no adapter.
        Refusal: for another layout than plain LoRA, or one of another model.
    """
    path = folder / CONFIG
    for needed in (path, folder / WEIGHTS):
        if not needed.exists():
            raise FileNotFoundError(f"{needed} does not exist; --adapter takes a peft adapter")
    scale = _scale(path, read_json(path))
    parts = decoder_tensors({t.name: t for t in open_safetensors(folder / WEIGHTS)}, {})
    found = dict(tensors)
    for name, down in parts.items():
        stem, _, rest = name.partition(".lora_A.")
        up, weight = parts.get(f"{stem}.lora_B.{rest}"), tensors.get(f"{stem}.weight")
        if ".lora_B." in name and name.replace(".lora_B.", ".lora_A.") in parts:
            continue
        if not rest or up is None:
            raise Refusal(f"{folder} holds tensor {down.name}, no plain LoRA; {MERGE}")
        if weight is None or weight.shape != (up.shape[0], down.shape[-1]):
            raise Refusal(f"{folder} adapts {stem}.weight, which this model has not in that shape")
        found[f"{stem}.weight"] = _sum(weight, down, up, scale)
    return found


def _scale(path: Path, config: dict[str, Any]) -> float:
    """What the product is multiplied by: alpha / r, or alpha / sqrt(r) where it says so."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise Refusal(f"{path} has peft_type {bounds.shown(kind)}; only LORA is merged here")
    for key in ABSENT:
        if config.get(key):
            raise Refusal(f"{path} gives {key} {bounds.shown(config[key])}; {MERGE}")
    if config.get("bias", "none") != "none":
        raise Refusal(f"{path} gives bias {bounds.shown(config['bias'])}; {MERGE}")
    rank = bounds.integer(path, "r", config.get("r"), bounds.HIDDEN)
    alpha = bounds.number(path, "lora_alpha", config.get("lora_alpha"), bounds.FACTOR)
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _sum(weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    def read() -> Array:
        return weight.float32() + np.float32(scale) * (up.float32() @ down.float32())

    return Tensor(weight.name, weight.shape, "float32", read)
