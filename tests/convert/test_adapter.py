"""LoRA adapters as peft writes them, against the product written out in torch."""

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
from convert.cli import main
from convert.refusal import Refusal

CONFIG: dict[str, Any] = {  # as peft 0.17 writes it
    "alpha_pattern": {},
    "base_model_name_or_path": "owner/base",
    "bias": "none",
    "fan_in_fan_out": False,
    "lora_alpha": 32,
    "modules_to_save": None,
    "peft_type": "LORA",
    "r": 8,
    "rank_pattern": {},
    "target_modules": ["v_proj", "down_proj"],
    "task_type": "CAUSAL_LM",
    "use_dora": False,
    "use_rslora": False,
}
TARGETS = {"self_attn.v_proj": (128, 256), "mlp.down_proj": (256, 512)}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "tuned"
    folder.mkdir()
    _write(folder, {})
    return folder


def _write(folder: Path, changes: dict[str, Any], **added: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(1)
    state = dict(added)
    for layer in range(2):
        for name, (rows, columns) in TARGETS.items():
            stem = f"base_model.model.model.layers.{layer}.{name}"
            down, up = (8, columns), (rows, 8)
            state[f"{stem}.lora_A.weight"] = torch.randn(down, generator=generator) / 16
            state[f"{stem}.lora_B.weight"] = torch.randn(up, generator=generator) / 16
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | changes))


@pytest.mark.parametrize(("rslora", "scale"), [(False, 32 / 8), (True, 32 / 8**0.5)])
def test_it_is_merged(
    mistral: Path, adapter: Path, tmp_path: Path, rslora: bool, scale: float
) -> None:
    _write(adapter, {"use_rslora": rslora})
    arguments = [str(mistral), "--adapter", str(adapter), "--quant", "f32", "-o", str(tmp_path)]
    assert main(arguments) == 0
    written = gguf.GGUFReader(tmp_path / "mistral-tuned-f32.gguf")
    assert written.fields["general.name"].contents() == "mistral + tuned"
    tensors = {t.name: t.data for t in written.tensors}
    base, parts = (
        load_file(mistral / "model.safetensors"),
        load_file(adapter / "adapter_model.safetensors"),
    )
    for name, ours in (("self_attn.v_proj", "attn_v"), ("mlp.down_proj", "ffn_down")):
        stem = f"model.layers.1.{name}"
        down, up = (parts[f"base_model.model.{stem}.lora_{x}.weight"] for x in "AB")
        expected = base[f"{stem}.weight"].double() + scale * up.double() @ down.double()
        assert np.allclose(tensors[f"blk.1.{ours}.weight"], expected.numpy(), atol=1e-5)
        assert not np.allclose(expected, base[f"{stem}.weight"], atol=1e-2)
    same = base["model.layers.1.mlp.up_proj.weight"].numpy()
    assert np.array_equal(tensors["blk.1.ffn_up.weight"], same)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "peft_type 'IA3'; only LORA is merged here"),
        ({"use_dora": True}, "use_dora True; merge it with peft: model.merge_and_unload"),
        ({"rank_pattern": {"v_proj": 4}}, "rank_pattern .*merge_and_unload"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save .*merge_and_unload"),
        ({"bias": "lora_only"}, "bias 'lora_only'; merge it with peft"),
        ({"r": 0}, "gives r 0; choose a whole number"),
        ({"lora_alpha": "x"}, "gives lora_alpha 'x'; choose a number"),
    ],
)
def test_settings_that_are_more(
    mistral: Path, adapter: Path, changes: dict[str, Any], said: str
) -> None:
    _write(adapter, changes)
    with pytest.raises(Refusal, match=said):
        read_checkpoint(mistral, adapter)


def test_tensors_of_another_kind_or_model(mistral: Path, adapter: Path) -> None:
    extra = {"base_model.model.lm_head.weight": torch.zeros(4, 4)}
    _write(adapter, {}, **extra)
    with pytest.raises(Refusal, match=r"holds tensor .*lm_head.weight, no plain LoRA; merge it"):
        read_checkpoint(mistral, adapter)
    stem = "base_model.model.model.layers.7.mlp.up_proj"
    pair = {
        f"{stem}.lora_A.weight": torch.zeros(8, 256),
        f"{stem}.lora_B.weight": torch.zeros(512, 8),
    }
    _write(adapter, {}, **pair)
    with pytest.raises(
        Refusal, match=r"adapts model.layers.7.mlp.up_proj.weight, which this model"
    ):
        read_checkpoint(mistral, adapter)
    with pytest.raises(FileNotFoundError, match=r"does not exist; --adapter takes a peft adapter"):
        read_checkpoint(mistral, mistral)


def test_an_adapter_alone_is_told(
    mistral: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(adapter), "--dry-run"]) == 1
    said = capsys.readouterr().err
    assert f"{adapter} is a LoRA adapter; convert owner/base --adapter {adapter}" in said
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (adapter / name).rename(mistral / name)
    (mistral / "model.safetensors").unlink()
    with pytest.raises(Refusal, match=r"holds a LoRA adapter .*; convert its base .* --adapter"):
        read_checkpoint(mistral)
