"""What is written equals the checkpoint: tensors, logits, metadata."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from convert.checkpoint import read_checkpoint
from convert.gguf_artifact import artifact_from_gguf
from convert.identity import identify
from convert.stream import ExceedsFloat16
from tests.conftest import REFERENCE
from tests.convert.export import export
from tests.convert.ministral3 import save_ministral3
from tests.convert.stock_llama import Stock, divergence

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
FAMILIES = {
    "mistral": (tf.MistralForCausalLM, tf.MistralConfig, {}),
    "mistral wide heads": (tf.MistralForCausalLM, tf.MistralConfig, {"head_dim": 96}),
    "mistral tied": (tf.MistralForCausalLM, tf.MistralConfig, {"tie_word_embeddings": True}),
    "llama": (tf.LlamaForCausalLM, tf.LlamaConfig, {"rope_theta": 500000.0}),
    "llama biases": (tf.LlamaForCausalLM, tf.LlamaConfig, {"attention_bias": True}),
    "llama3 rope": (tf.LlamaForCausalLM, tf.LlamaConfig, {"rope_scaling": LLAMA3}),
    "linear rope": (
        tf.LlamaForCausalLM,
        tf.LlamaConfig,
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    ),
    "yarn rope": (tf.LlamaForCausalLM, tf.LlamaConfig, {"rope_scaling": YARN}),
    "yarn attention": (
        tf.LlamaForCausalLM,
        tf.LlamaConfig,
        {"rope_scaling": YARN | {"attention_factor": 1.5}},
    ),
    "yarn mscale": (
        tf.LlamaForCausalLM,
        tf.LlamaConfig,
        {"rope_scaling": YARN | {"mscale": 1.0, "mscale_all_dim": 0.5}},
    ),
    "qwen2": (tf.Qwen2ForCausalLM, tf.Qwen2Config, {}),
    "qwen3": (tf.Qwen3ForCausalLM, tf.Qwen3Config, {"head_dim": 128, "rope_theta": 1e6}),
    "qwen3 tied": (
        tf.Qwen3ForCausalLM,
        tf.Qwen3Config,
        {"head_dim": 96, "tie_word_embeddings": True},
    ),
    "ministral3": None,
}


def _export(folder, level="f32"):
    out = folder / f"{level}.gguf"
    export(folder, out, level)
    return out


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_every_family_match_transformers(tmp_path, tiny, family):
    made = FAMILIES[family]
    model = tiny(tmp_path, made[0], made[1], **made[2]) if made else save_ministral3(tmp_path, tiny)
    with torch.no_grad():  # large enough that a wrong order of heads or biases shows
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
            else:
                weight.normal_(std=0.5 if name.endswith("bias") else 0.06)
    state = {name: weight.clone() for name, weight in model.state_dict().items()}  # tied ones twice
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ids = torch.arange(3, 203)
    with torch.inference_mode():
        expected = model(input_ids=ids[None]).logits[0].numpy()
    for level, bound in (("f32", 1e-8), ("f16", 1e-5)):
        with Stock(_export(tmp_path, level)) as stock:
            got = stock.logits(ids.tolist())
        assert level == "f16" or np.abs(got - expected).max() < 1e-4 * expected.std() + 1e-4
        assert divergence(expected, got) < bound


def test_a_bias_that_llama_cpp_would_not_read_is_refused(tmp_path, tiny):
    tiny(tmp_path, tf.Qwen3ForCausalLM, tf.Qwen3Config, attention_bias=True)
    with pytest.raises(ValueError, match=r"o_proj.bias.*qwen3 model in llama.cpp.*--format onnx"):
        _export(tmp_path)


def test_f16_logits_of_the_reference_policy_match_transformers(reference, questions, solutions):
    model = tf.AutoModelForCausalLM.from_pretrained(REFERENCE / "policy", dtype=torch.float32)
    divergences = []
    with Stock(reference("policy", "f16")) as stock:
        for question, solution in zip(questions[:50], solutions[:50], strict=True):
            ids = stock.encode(f"{question}\n{solution}")
            with torch.inference_mode():
                full = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            ours = torch.from_numpy(stock.logits(ids)).log_softmax(-1)
            divergences.append((full.exp() * (full - ours)).sum(-1).mean().item())
    assert len(divergences) == 50
    assert np.mean(divergences) < 1e-4


def test_f16_tensors_are_the_checkpoints(mistral):
    written = {t.name: t.data for t in gguf.GGUFReader(_export(mistral, "f16")).tensors}
    source = load_file(mistral / "model.safetensors")
    q = source["model.layers.1.self_attn.q_proj.weight"].half().numpy()
    back = written["blk.1.attn_q.weight"].reshape(4, 32, 2, 256).swapaxes(1, 2).reshape(256, 256)
    np.testing.assert_array_equal(back, q)
    for ours, theirs in (
        ("token_embd", "model.embed_tokens"),
        ("blk.0.ffn_down", "model.layers.0.mlp.down_proj"),
        ("blk.1.attn_v", "model.layers.1.self_attn.v_proj"),
        ("output", "lm_head"),
    ):
        expected = source[f"{theirs}.weight"].half().numpy()
        np.testing.assert_array_equal(written[f"{ours}.weight"], expected)
    norm = source["model.norm.weight"].float().numpy()
    np.testing.assert_array_equal(written["output_norm.weight"], norm)


def test_bf16_keeps_every_bit(mistral):
    model = tf.MistralForCausalLM.from_pretrained(mistral, dtype=torch.bfloat16)
    model.save_pretrained(mistral)
    written = {t.name: t.data for t in gguf.GGUFReader(_export(mistral, "bf16")).tensors}
    bits = load_file(mistral / "model.safetensors")["lm_head.weight"].view(torch.uint16).numpy()
    np.testing.assert_array_equal(written["output.weight"].view(np.uint16), bits)


def test_sharded_and_pickled_weights_give_the_same_file(mistral):
    whole = _export(mistral).read_bytes()
    model = tf.MistralForCausalLM.from_pretrained(mistral)
    (mistral / "model.safetensors").unlink()
    model.save_pretrained(mistral, max_shard_size="1MB")
    assert len(list(mistral.glob("model-*.safetensors"))) > 2
    assert _export(mistral).read_bytes() == whole
    for path in mistral.glob("model*"):
        path.unlink()
    torch.save(model.state_dict(), mistral / "pytorch_model.bin")
    assert _export(mistral).read_bytes() == whole


def test_a_large_tensor_is_written_in_blocks(mistral, monkeypatch):
    whole = _export(mistral, "f16").read_bytes()
    monkeypatch.setattr("convert.stream.PIECE_WEIGHTS", 1000)
    assert _export(mistral, "f16").read_bytes() == whole


def test_values_beyond_float16_are_refused(mistral, edit):
    edit(mistral, **{"model.layers.0.mlp.up_proj.weight": np.full((512, 256), 7e4, np.float32)})
    with pytest.raises(ExceedsFloat16, match=r"up_proj.*choose bf16 or f32"):
        _export(mistral, "f16")
    assert _export(mistral, "bf16").exists()


def test_the_file_alone_carries_its_protocol(mistral):
    (mistral / "protocol.json").write_text(
        '{"role": "reward", "reward": {"kind": "token_logits", "step_tag": " ки", "join": "",'
        ' "between": "", "after": "+",'
        ' "good_id": 3, "bad_id": 4, "aggregation": "min"},'
        ' "prompt": {"template": "{question}\\n", "step_stop": "ки"}}'
    )
    found = artifact_from_gguf(_export(mistral))
    checkpoint = read_checkpoint(mistral)
    identity = identify(checkpoint)
    assert found.role == "reward"
    assert found.reward == identity.reward
    assert found.reward.join == ""
    assert found.prompt == identity.prompt
    assert found.shape == checkpoint.shape
    assert found.architecture == "mistral"


def test_an_unknown_rope_scaling_is_refused(tmp_path, tiny):
    scaling = {"rope_type": "dynamic", "factor": 2.0}
    tiny(tmp_path, tf.LlamaForCausalLM, tf.LlamaConfig, rope_scaling=scaling)
    with pytest.raises(ValueError, match=r"'dynamic'.*linear, yarn and llama3"):
        _export(tmp_path)
