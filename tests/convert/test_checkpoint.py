"""Looking at checkpoint folders: what is recognised, and the one line for what is wrong."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from convert.artifact import RewardProtocol
from convert.checkpoint import read_checkpoint
from convert.mapping import tensor_map
from convert.torch_artifact import artifact_from_folder
from tests.conftest import REFERENCE


def _configure(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _check(folder):
    """All that a conversion checks before and while it writes."""
    checkpoint = read_checkpoint(folder)
    for mapped in tensor_map(checkpoint):
        checkpoint.tensors[mapped.source].float32()


def test_the_reference_pair_is_described_by_its_protocol():
    policy = artifact_from_folder(REFERENCE / "policy")
    assert (policy.format, policy.level, policy.role) == ("torch", "bf16", "policy")
    assert policy.prompt is not None
    assert policy.prompt.step_stop == "ки"
    assert policy.size_bytes == sum(
        2 * t.elements for t in read_checkpoint(REFERENCE / "policy").tensors.values()
    )
    reward = artifact_from_folder(REFERENCE / "reward")
    assert reward.role == "reward"
    assert reward.reward == RewardProtocol(
        "token_logits", " ки", between="\n", good_id=312, bad_id=325
    )
    assert artifact_from_folder(REFERENCE / "policy", "reward").role == "reward"


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config.json: not a checkpoint folder"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, r"model_type 'gpt2'; choose a model of mistral, .*llama, qwen2"),
        ({"hidden_size": None}, r"config.json has no hidden_size"),
        (
            {"intermediate_size": 500},
            r"mlp.gate_proj.weight has shape \[512, 256\], expected",
        ),
        ({"num_hidden_layers": 3}, r"lacks tensor model.layers.2.input_layernorm.weight"),
        ({"num_hidden_layers": 1}, r"holds tensor model.layers.1.*9 such tensors"),
    ],
)
def test_config_and_tensors_disagree(mistral, changes, message):
    _configure(mistral, **changes)
    with pytest.raises(ValueError, match=message):
        _check(mistral)


def test_broken_config(mistral):
    (mistral / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is not valid JSON"):
        read_checkpoint(mistral)


def test_missing_tokenizer(mistral):
    for path in mistral.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no tokenizer: expected tokenizer.model or"):
        _check(mistral)


def test_missing_weights(mistral):
    (mistral / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"no weights: expected \*.safetensors"):
        _check(mistral)


@pytest.mark.parametrize("kept", [4, 500, 5000, 100000])
def test_truncated_safetensors(mistral, kept):
    path = mistral / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model.safetensors (is cut short|is not a safetensors)"):
        _check(mistral)


def test_damaged_safetensors_header(mistral):
    path = mistral / "model.safetensors"
    header = json.dumps({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ValueError, match=r"gives tensor x 8 bytes for shape \[4\]"):
        _check(mistral)


def test_missing_shard(mistral):
    index = {"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (mistral / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(FileNotFoundError, match=r"lacks model-00002-of-00002.safetensors"):
        _check(mistral)


def test_missing_and_misshapen_tensors(mistral, edit):
    edit(mistral, **{"model.layers.1.mlp.up_proj.weight": None})
    with pytest.raises(ValueError, match=r"lacks tensor model.layers.1.mlp.up_proj.weight"):
        _check(mistral)
    edit(mistral, **{"model.layers.1.mlp.up_proj.weight": np.zeros((512, 255), np.float32)})
    with pytest.raises(
        ValueError, match=r"model.layers.1.mlp.up_proj.weight has shape \[512, 255\], expected \[51"
    ):
        _check(mistral)


def test_missing_output_projection(mistral, edit):
    edit(mistral, **{"lm_head.weight": None})
    with pytest.raises(ValueError, match=r"lacks tensor lm_head.weight"):
        _check(mistral)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_that_are_not_finite(mistral, value, dtype):
    from safetensors.torch import load_file, save_file

    path = mistral / "model.safetensors"
    tensors = {name: t.to(dtype) for name, t in load_file(path).items()}
    tensors["model.layers.0.mlp.down_proj.weight"][200, 7] = value
    save_file(tensors, path)
    with pytest.raises(ValueError, match=r"model.layers.0.mlp.down_proj.weight holds NaN or infin"):
        _check(mistral)


class _Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle ran')",))


def test_a_pickle_never_runs(mistral):
    (mistral / "model.safetensors").unlink()
    torch.save({"lm_head.weight": _Bomb()}, mistral / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model.bin cannot be read as weights"):
        _check(mistral)
    (mistral / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(ValueError, match=r"pytorch_model.bin cannot be read as weights"):
        _check(mistral)


def test_bad_protocol(mistral):
    (mistral / "protocol.json").write_text('{"prompt": {"tempalte": "x"}}')
    with pytest.raises(ValueError, match=r"protocol.json.*tempalte"):
        artifact_from_folder(mistral)
    (mistral / "protocol.json").write_text("{")
    with pytest.raises(ValueError, match=r"protocol.json is not valid JSON"):
        artifact_from_folder(mistral)
