"""Exported graphs against transformers: logits, hidden states, keys and values, every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from safetensors.torch import save_file
from scipy.special import log_softmax

from convert.artifact import Artifact
from convert.ensure import ensure_all
from convert.onnx_files import cuda_path
from tests.conftest import REFERENCE
from tests.convert.ministral3 import save_ministral3

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
WIDE = {"head_dim": 96, "num_key_value_heads": 1, "rms_norm_eps": 1e-5}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "mistral": ("Mistral", {}),
    "mistral wide heads": ("Mistral", WIDE),
    "mistral odd sizes": ("Mistral", {"intermediate_size": 344, "num_key_value_heads": 4}),
    "llama tied": ("Llama", {"tie_word_embeddings": True}),
    "llama biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama llama3 rope": ("Llama", {"rope_scaling": LLAMA3, "rope_theta": 5e5}),
    "llama linear rope": ("Llama", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    "llama yarn rope": ("Llama", {"rope_scaling": YARN}),
    "qwen2": ("Qwen2", {"rope_theta": 1e6}),
    "qwen2 tied": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"head_dim": 128, "rope_theta": 1e6}),
    "qwen3 biases": ("Qwen3", WIDE | {"attention_bias": True, "tie_word_embeddings": True}),
    "ministral3": ("", {}),
}
LEVELS = ("fp32", "fp16", "int8", "int4", "int4_asym_b64", "int8_b128")


def _session(path: Path) -> Any:
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _empty(session: Any, rows: int = 1) -> dict[str, Any]:
    """A past of no tokens."""
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    return {
        value.name: np.zeros((rows, value.shape[1], 0, value.shape[3]), types[value.type])
        for value in session.get_inputs()
        if value.name.startswith("past")
    }


def _run(session: Any, ids: Any, past: dict[str, Any], rows: Any) -> dict[str, Any]:
    """New tokens (B, S) after a past of equal length in every row."""
    batch, new = ids.shape
    old = next(iter(past.values())).shape[2]
    positions = np.arange(old, old + new)[None].repeat(batch, 0)
    feeds = {
        "input_ids": ids,
        "position_ids": positions,
        "attention_bias": np.zeros((1, 1, new, old + new), np.float32),
        "lengths": np.full(batch, old + new),
        "rows": rows,
    }
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds | past), strict=True))


def _past(results: dict[str, Any]) -> dict[str, Any]:
    return {
        name.replace("present", "past_key_values"): value
        for name, value in results.items()
        if name.startswith("present")
    }


def _divergence(exact: Any, ours: Any) -> float:
    """Mean KL in nats."""
    p, q = (log_softmax(x.astype(np.float64), axis=-1) for x in (exact, ours))
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def _error(exact: Any, ours: Any) -> float:
    """Root of the mean square error, relative to the exact states."""
    return float(np.linalg.norm(ours - exact) / np.linalg.norm(exact))


def _spread(model: Any) -> None:
    """Weights larger than at initialization, so that logits differ by several units."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                weight.normal_(0, 0.1)
            else:
                weight.mul_(4)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_models(
    family: str, tmp_path: Path, tiny: Callable[..., Any], record_property: Callable[..., None]
) -> None:
    name, changes = FAMILIES[family]
    folder = tmp_path / "m"
    if name:
        classes = (getattr(tf, f"{name}{kind}") for kind in ("ForCausalLM", "Config"))
        model = tiny(folder, *classes, **changes)
    else:
        model = save_ministral3(folder, tiny)
    _spread(model)
    state = {name: weight.clone() for name, weight in model.state_dict().items()}  # tied ones twice
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    ids = np.random.default_rng(1).integers(3, 1024, (1, 160))
    with torch.inference_mode():
        exact = model(torch.from_numpy(ids), output_hidden_states=True)
    logits, states = exact.logits[0].numpy(), exact.hidden_states[-1][0].numpy()
    for artifact in ensure_all(str(tmp_path / "m"), LEVELS, tmp_path / "out"):
        session = _session(artifact.path)
        got = _run(session, ids, _empty(session), np.arange(160))
        split = _run(session, ids[:, :100], _empty(session), np.array([99]))
        rest = _run(session, ids[:, 100:], _past(split), np.arange(60))
        both = np.concatenate([split["logits"], rest["logits"]])
        assert np.abs(both - got["logits"][99:]).max() < 1e-3  # keys and values come back whole
        record_property(artifact.level, _divergence(logits, got["logits"]))
        _check(artifact, got, logits, states)


def _check(artifact: Artifact, got: dict[str, Any], logits: Any, states: Any) -> None:
    """The bounds of each level, on the CPU graph and, where there is one, that for CUDA."""
    kl = _divergence(logits, got["logits"])
    if artifact.level == "fp32":
        assert np.abs(got["logits"] - logits).max() < 1e-3
        assert np.abs(got["hidden_states"] - states).max() < 1e-3
        assert abs(kl) < 1e-10
        assert not cuda_path(artifact.path).exists()
    else:
        bound = {"fp16": 1e-4, "int8": 1e-2, "int8_b128": 1e-2}.get(artifact.level, 1.0)
        assert 0 < kl < bound
        if artifact.level == "fp16":
            assert _error(states, got["hidden_states"]) < 2e-3


@pytest.mark.parametrize("role", ["policy", "reward"])
def test_reference_models(
    role: str, reference: Callable[[str, str], Path], solutions: list[str]
) -> None:
    folder = REFERENCE / role
    model = tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    ids = np.array([tokenizer.encode(" ".join(solutions[:20]))[:400]])
    with torch.inference_mode():
        exact = model(torch.from_numpy(ids), output_hidden_states=True)
    logits, states = exact.logits[0].numpy(), exact.hidden_states[-1][0].numpy()
    bounds = {"fp32": 1e-9, "fp16": 1e-4, "int8": 5e-3, "int4": 1e-1}
    for level, bound in bounds.items():
        path = reference(role, level)
        graphs = [path] if level == "fp32" else [path, cuda_path(path)]
        for graph in graphs:
            session = _session(graph)
            got = _run(session, ids, _empty(session), np.arange(ids.shape[1]))
            assert _divergence(logits, got["logits"]) < bound, (level, graph.name)
            if level == "fp32":
                assert np.abs(got["logits"] - logits).max() < 1e-3
            error = _error(states, got["hidden_states"])
            assert error < {"fp32": 1e-5, "fp16": 2e-3, "int8": 2e-2, "int4": 0.2}[level]


def test_batches_of_ragged_rows(mistral: Path, tmp_path: Path) -> None:
    """Rows of different lengths in one call, one token each, as any onnxruntime user batches."""
    model = tf.MistralForCausalLM.from_pretrained(mistral, dtype=torch.float32).eval()
    (artifact,) = ensure_all(str(mistral), ["fp32"], tmp_path / "out")
    session = _session(artifact.path)
    ids = np.random.default_rng(2).integers(3, 1024, (3, 12))
    lengths = np.array([5, 12, 9])
    bias = np.zeros((1, 1, 12, 12), np.float32)
    feeds = {
        "input_ids": ids,
        "position_ids": np.arange(12)[None].repeat(3, 0),
        "attention_bias": bias,
        "lengths": lengths,
        "rows": np.arange(3) * 12 + lengths - 1,
    }
    names = [output.name for output in session.get_outputs()]
    first = dict(zip(names, session.run(None, feeds | _empty(session, 3)), strict=True))
    new = np.array([[7], [8], [9]])
    past = {name: np.pad(v, ((0, 0), (0, 0), (0, 1), (0, 0))) for name, v in _past(first).items()}
    step = {
        "input_ids": new,
        "position_ids": lengths[:, None],
        "attention_bias": np.zeros((1, 1, 1, 13), np.float32),
        "lengths": lengths + 1,
        "rows": np.arange(3),
    }
    second = dict(zip(names, session.run(None, step | past), strict=True))
    for row, length in enumerate(lengths):
        text = torch.from_numpy(np.concatenate([ids[row, :length], new[row]])[None])
        with torch.inference_mode():
            logits = model(text).logits[0].numpy()
        assert np.abs(first["logits"][row] - logits[length - 1]).max() < 1e-3
        assert np.abs(second["logits"][row] - logits[length]).max() < 1e-3
