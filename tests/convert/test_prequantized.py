"""Checkpoints that are quantized already, by the names and types that their tools write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from convert.checkpoint import read_checkpoint
from convert.refusal import Refusal

INTS = torch.zeros((4, 4), dtype=torch.int32)
KINDS: dict[str, tuple[dict[str, Any] | None, dict[str, torch.Tensor], str]] = {
    "gptq": (
        {"quant_method": "gptq", "bits": 4},
        {"qweight": INTS, "qzeros": INTS},
        "GPTQ, 4 bits",
    ),
    "awq": ({"quant_method": "awq", "bits": 4}, {"qweight": INTS, "qzeros": INTS}, "AWQ, 4 bits"),
    "gptq without a word": (None, {"qweight": INTS, "scales": INTS.half()}, "GPTQ or AWQ"),
    "bitsandbytes 4": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"weight": torch.zeros((8, 1), dtype=torch.uint8), "weight.absmax": torch.zeros(4)},
        "bitsandbytes, 4 bits",
    ),
    "bitsandbytes 8": (
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"weight": torch.zeros((8, 8), dtype=torch.int8), "SCB": torch.zeros(8)},
        "bitsandbytes, 8 bits",
    ),
    "compressed-tensors": (
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        {"weight_packed": INTS, "weight_scale": torch.ones(4)},
        "compressed-tensors",
    ),
    "mxfp4": (
        {"quant_method": "mxfp4"},
        {"weight_blocks": torch.zeros((4, 4), dtype=torch.uint8)},
        "mxfp4",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told_what_they_are(mistral: Path, kind: str) -> None:
    stated, tensors, said = KINDS[kind]
    stem = "model.layers.0.mlp.up_proj"
    path = mistral / "model.safetensors"
    state = {n: t for n, t in load_file(path).items() if not n.startswith(stem)}
    state |= {f"{stem}.{name}": tensor.clone() for name, tensor in tensors.items()}
    save_file(state, path, metadata={"format": "pt"})
    if stated:
        config = json.loads((mistral / "config.json").read_text())
        config["quantization_config"] = stated
        (mistral / "config.json").write_text(json.dumps(config))
    with pytest.raises(Refusal) as caught:
        read_checkpoint(mistral)
    assert f"is quantized already ({said}), which cannot be undone; convert the full" in str(
        caught.value
    )
