"""Weights of eight bits against torch's own floats of eight bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from convert.checkpoint import read_checkpoint
from convert.refusal import Refusal
from runtime.load import EngineOptions, open_engine
from tests.convert.export import export

STEM = "model.layers.0.mlp.up_proj.weight"  # (512, 256)
IDS = list(range(3, 40))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_every_value_is_torchs(mistral: Path, dtype: torch.dtype) -> None:
    bits = torch.arange(256, dtype=torch.uint8)
    expected = bits.view(dtype).float()
    bits = bits[expected.isfinite()]
    values = bits.repeat(512 * 256 // len(bits) + 1)[: 512 * 256].view(dtype).view(512, 256)
    state = load_file(mistral / "model.safetensors") | {STEM: values}
    for kind in ("safetensors", "bin"):
        if kind == "bin":
            (mistral / "model.safetensors").unlink()
            torch.save(state, mistral / "pytorch_model.bin")
        else:
            save_file(state, mistral / "model.safetensors", metadata={"format": "pt"})
        assert np.array_equal(read_checkpoint(mistral).tensors[STEM].float32(), values.float())


def _quantize(folder: Path, scale: torch.Tensor, end: str, block: list[int] | None) -> torch.Tensor:
    """Store one projection in eight bits under a scale; returns it as torch multiplies it out."""
    state = load_file(folder / "model.safetensors")
    full = scale
    if scale.ndim == 2 and scale.shape[1] > 1:
        full = scale.repeat_interleave(128, 0)[:512].repeat_interleave(128, 1)[:, :256]
    elif scale.ndim == 1 and len(scale) > 1:
        full = scale[:, None]
    small = (state[STEM].float() / full.float()).to(torch.float8_e4m3fn)
    state |= {
        STEM: small,
        f"{STEM}{end}": scale,
        STEM.replace("weight", "input_scale"): scale.reshape(-1)[:1].clone(),
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": block}
    (folder / "config.json").write_text(json.dumps(config))
    return small.float() * full.float()


SCALES = {
    "a tensor, as a number": (torch.tensor(2e-4), "_scale_inv", None),
    "a tensor": (torch.tensor([2e-4]), "_scale_inv", None),
    "a row": (torch.rand(512) * 1e-3 + 1e-4, "_scale", None),
    "a row as a column": (torch.rand(512, 1).bfloat16() * 1e-3 + 1e-4, "_scale", None),
    "blocks": (torch.rand(4, 2) * 1e-3 + 1e-4, "_scale_inv", [128, 128]),
}


@pytest.mark.parametrize("kind", SCALES)
def test_scales_are_multiplied_in(mistral: Path, tmp_path: Path, kind: str) -> None:
    expected = _quantize(mistral, *SCALES[kind])
    found = read_checkpoint(mistral).tensors[STEM].float32()
    assert np.array_equal(found, expected.numpy())
    export(mistral, tmp_path / "x.gguf", "f32")
    written = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "x.gguf").tensors}
    assert np.array_equal(written["blk.0.ffn_up.weight"], expected.numpy())


def test_the_baseline_is_what_is_converted(mistral: Path, tmp_path: Path) -> None:
    _quantize(mistral, *SCALES["blocks"])
    export(mistral, tmp_path / "x.gguf", "f32")
    options = EngineOptions(device="cpu", threads=1, context=256, max_branches=2)
    rows = []
    for path in (mistral, tmp_path / "x.gguf"):
        with open_engine(path, options) as engine, engine.open(IDS) as root:
            rows.append(engine.logits([root]).copy())
    assert np.abs(rows[0] - rows[1]).max() < 5e-3  # the cache of the second is float16


def test_a_scale_of_another_shape(mistral: Path) -> None:
    state = load_file(mistral / "model.safetensors")
    state[STEM] = state[STEM].to(torch.float8_e4m3fn)
    state[f"{STEM}_scale"] = torch.ones(3)
    save_file(state, mistral / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refusal, match=r"up_proj.weight_scale has shape \[3\], expected one scale"):
        read_checkpoint(mistral)
