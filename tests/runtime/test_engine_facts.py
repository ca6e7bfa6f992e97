"""What an engine says of itself in numbers: where it runs, the size of weights and KV entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime.devices import Card
from runtime.engine import Engine
from runtime.load import EngineOptions, open_engine
from runtime.options import KvType
from runtime.scripted_engine import ScriptedEngine
from tests.conftest import REFERENCE

Reference = Callable[[str, str], Path]
OPTIONS = EngineOptions(device="cpu", threads=1, context=512, max_branches=4)


def _facts(engine: Engine) -> tuple[bool, float, float]:
    return engine.on_card, engine.weight_bits, engine.kv_value_bytes


def test_a_script() -> None:
    assert _facts(ScriptedEngine({})) == (False, 32.0, 2.0)


@pytest.mark.parametrize(("kv_type", "size"), [("f16", 2), ("q8_0", 34 / 32), ("q4_0", 18 / 32)])
def test_gguf(reference: Reference, kv_type: KvType, size: float) -> None:
    options = replace(OPTIONS, kv_type=kv_type)
    with open_engine(reference("policy", "q8_0"), options) as engine:
        assert _facts(engine) == (False, engine.artifact.bits_per_weight, size)
        assert 8.4 < engine.weight_bits < 9
        shape = engine.artifact.shape
        values = 2 * shape.layers * shape.kv_heads * shape.head_dim * 512
        assert engine.kv_bytes == values * size


@pytest.mark.parametrize("layers", [5, 2, 0])
def test_gguf_on_a_card(reference: Reference, layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = (layers, Card("A card", 8 << 30, 8 << 30, "CUDA"), "")
    monkeypatch.setattr("runtime.gguf_engine._placement", lambda *_: placed)
    with open_engine(reference("policy", "q8_0"), OPTIONS) as engine:
        assert engine.on_card == (layers > 0)
        assert engine.device.startswith("A card" if layers else "CPU")


def test_torch_on_the_cpu() -> None:
    with open_engine(REFERENCE / "policy", OPTIONS) as engine:
        assert _facts(engine) == (False, 32.0, 4.0)
        assert engine.artifact.level == "f32"


class _Torch:
    """torch, whose card is the CPU."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def device(self, _kind: str) -> torch.device:
        return torch.device("cpu")


def test_torch_on_a_card_is_labelled_by_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.torch_engine.torch", _Torch())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A card")
    with open_engine(REFERENCE / "policy", replace(OPTIONS, device="cuda")) as engine:
        assert _facts(engine) == (True, 16.0, 2.0)
        assert engine.artifact.level == "bf16"
        assert engine.device == "A card, all layers, bfloat16"
        with engine.open([5, 6, 7]) as root:
            assert np.isfinite(engine.logits([root])).all()


@pytest.mark.parametrize(
    ("level", "low", "high"), [("fp32", 32, 32), ("fp16", 32, 32), ("int8", 8.4, 9), ("int4", 4, 7)]
)
def test_onnx_on_the_cpu(reference: Reference, level: str, low: float, high: float) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    with open_engine(reference("policy", level), OPTIONS) as engine:
        assert (engine.on_card, engine.kv_value_bytes) == (False, 4.0)
        assert low <= engine.weight_bits <= high
        arrays = engine._cache._arrays  # type: ignore[attr-defined]
        assert engine.kv_bytes == sum(array.nbytes for array in arrays)
        per_token = engine.artifact.shape.kv_bytes_per_token(engine.kv_value_bytes)
        assert engine.kv_bytes == 512 * per_token


def test_onnxruntime_widens_float16_for_the_cpu(reference: Reference, tmp_path: Path) -> None:
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "as_run.onnx")
    path = reference("policy", "fp16")
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    with open_engine(path, OPTIONS) as engine:
        linear = engine.artifact.shape.linear_parameters
    weights = onnx.load(tmp_path / "as_run.onnx", load_external_data=False).graph.initializer
    singles = [w for w in weights if w.data_type == onnx.TensorProto.FLOAT]
    assert sum(int(np.prod(w.dims)) for w in singles) > linear


def test_a_thinker_has_the_facts_of_its_model(reference: Reference) -> None:
    thinker = reference("thinker", "q8_0")
    with open_engine(thinker, OPTIONS) as plain:
        facts = _facts(plain)
    with open_engine(thinker, replace(OPTIONS, think="on", context=1024)) as engine:
        assert _facts(engine) == facts
