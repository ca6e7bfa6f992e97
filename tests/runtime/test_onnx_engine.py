"""What only the ONNX engine does: shared cells, parity with torch, placement, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.ensure import ensure
from runtime.engine import ContextFull, Engine, Sampling
from runtime.load import EngineOptions, open_engine
from tests.conftest import REFERENCE

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from runtime.onnx_cache import KvCache  # noqa: E402
from runtime.onnx_cells import Cells  # noqa: E402

Reference = Callable[[str, str], Path]
SESSION = ort.InferenceSession
OPTIONS = EngineOptions(device="cpu", threads=1, context=512, max_branches=16)


def _walk(engine: Engine, text: list[int], seed: int) -> list[Any]:
    """Logits and hidden states along random forks, feeds, rewinds and releases."""
    rng = np.random.default_rng(seed)
    found: list[Any] = []
    with engine.open(text[:20]) as root:
        live = [root]
        for _ in range(40):
            kind = rng.choice(["fork", "feed", "rewind", "release"], p=[0.25, 0.45, 0.15, 0.15])
            branch = live[int(rng.integers(len(live)))]
            if kind == "fork" and len(live) < 12:
                live += engine.fork(branch, 2)
            elif kind == "rewind" and engine.length(branch) > 12:
                engine.rewind(branch, engine.length(branch) - int(rng.integers(1, 8)))
                engine.feed([branch], [[text[int(rng.integers(len(text)))]]])
            elif kind == "release" and len(live) > 3:
                live.remove(branch)
                engine.release([branch])
            else:
                some = [b for b in live if rng.random() < 0.7] or [branch]
                sizes = rng.integers(1, 7, len(some))
                begins = rng.integers(0, 100, len(some))
                parts = [text[b : b + n] for b, n in zip(begins, sizes, strict=True)]
                output = engine.feed(some, parts, hidden=True)
                assert output.hidden is not None
                found.append((output.logits.copy(), output.hidden.copy()))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_random_walk_agrees_with_torch(
    reference: Reference, questions: list[str], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []
    keep = KvCache.keep
    monkeypatch.setattr(Cells, "ragged", lambda self, _: self.used > self.live)  # close every hole
    monkeypatch.setattr(KvCache, "keep", lambda self, kept: (moved.append(1), keep(self, kept)))
    walks = []
    for path in (reference("policy", "fp32"), REFERENCE / "policy"):
        with open_engine(path, OPTIONS) as engine:
            walks.append(_walk(engine, engine.tokenizer.encode(" ".join(questions))[:200], seed))
    assert len(walks[0]) == len(walks[1]) > 10
    assert len(moved) > 3
    for (logits, hidden), (exact, exact_hidden) in zip(*walks, strict=True):
        assert np.abs(logits - exact).max() < 1e-3
        assert np.abs(hidden - exact_hidden).max() < 1e-3


def test_siblings_share_the_cells_of_their_prefix(
    reference: Reference, questions: list[str]
) -> None:
    with open_engine(reference("policy", "int8"), OPTIONS) as engine:
        prompt = engine.tokenizer.encode(" ".join(questions))[:300]
        with engine.open(prompt) as root:
            children = engine.fork(root, 15)  # 16 x 300 tokens in a cache of 512
            steps = engine.extend(children, Sampling(temperature=2.0, max_tokens=12))
            assert sum(len(step.token_ids) for step in steps) > 100


def test_a_full_cache_leaves_the_branches_as_they_were(
    reference: Reference, questions: list[str]
) -> None:
    with open_engine(reference("policy", "fp16"), OPTIONS) as engine:
        tokens = engine.tokenizer.encode(" ".join(questions))
        with engine.open(tokens[:300]) as root:
            one, two = engine.fork(root, 2)
            with pytest.raises(ContextFull, match="KV cache of 512 tokens is full"):
                engine.feed([one, two], [tokens[300:500], tokens[300:500]])
            assert engine.length(one) == engine.length(two) == 300
            engine.release([two])
            fed = engine.feed([one], [tokens[300:500]]).logits.copy()
        with engine.open(tokens[:500]) as fresh:
            assert np.abs(engine.logits([fresh]) - fed).max() < 1e-3


def test_a_call_that_fails_leaves_the_branches_as_they_were(
    reference: Reference, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_engine(reference("policy", "fp32"), OPTIONS) as engine:
        tokens = engine.tokenizer.encode(" ".join(questions))[:60]
        with engine.open(tokens[:40]) as root:
            with monkeypatch.context() as patch:
                patch.setattr(engine, "_session", None)
                with pytest.raises(AttributeError):
                    engine.feed([root], [tokens[40:]])
            fed = engine.feed([root], [tokens[40:]]).logits.copy()
        with engine.open(tokens) as fresh:
            assert np.abs(engine.logits([fresh]) - fed).max() < 1e-4


@pytest.mark.parametrize("level", ["fp32", "int4"])
def test_long_feeds_are_split(
    reference: Reference, questions: list[str], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = []
    for limit in (512, 16):
        monkeypatch.setattr("runtime.onnx_engine.CALL_TOKENS", limit)
        with open_engine(reference("policy", level), OPTIONS) as engine:
            tokens = engine.tokenizer.encode(" ".join(questions[:3]))
            with engine.open(tokens[:50]) as root:
                branches = engine.fork(root, 3)
                parts = [tokens[50:90], tokens[50:55], tokens[50:81]]
                output = engine.feed(branches, parts, hidden=True, tail=2)
                assert output.hidden is not None
                outputs.append((output.logits.copy(), output.hidden.copy()))
    assert outputs[1][0].shape == (6, 1024)
    for whole, split in zip(*outputs, strict=True):
        assert np.abs(whole - split).max() < 1e-3


def test_a_sliding_window_is_that_of_torch(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    tiny(tmp_path / "m", MistralForCausalLM, MistralConfig, sliding_window=24)
    rows = []
    for path in (ensure(str(tmp_path / "m"), "fp32", tmp_path).path, tmp_path / "m"):
        with open_engine(path, OPTIONS) as engine, engine.open(list(range(5, 85))) as root:
            one, two = engine.fork(root, 2)
            engine.feed([one], [[7] * 9])
            rows.append(engine.feed([two, one], [[8] * 30, [9]]).logits.copy())
    assert np.abs(rows[0] - rows[1]).max() < 1e-4
    tiny(tmp_path / "n", MistralForCausalLM, MistralConfig, sliding_window=None)
    with open_engine(tmp_path / "n", OPTIONS) as engine, engine.open(list(range(5, 85))) as root:
        assert np.abs(engine.feed([root], [[8] * 30]).logits - rows[0][0]).max() > 1e-4


def test_a_model_whose_head_stands_beside_it_computes_no_logits(
    tmp_path: Path, tiny: Callable[..., Any]
) -> None:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import MistralConfig, MistralForCausalLM

    tiny(tmp_path / "m", MistralForCausalLM, MistralConfig)
    tensors = load_file(tmp_path / "m" / "model.safetensors")
    del tensors["lm_head.weight"]
    tensors["score.weight"] = torch.randn(2, 256)
    save_file(tensors, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with open_engine(ensure(str(tmp_path / "m"), "int8", tmp_path).path, OPTIONS) as engine:
        with engine.open([5, 6, 7]) as root:
            output = engine.feed(engine.fork(root, 2), [[8], [9]], hidden=True)
            assert output.logits.shape == (2, 0)
            assert output.hidden is not None
            assert output.hidden.shape == (2, 256)
        assert engine.usage.logit_rows == 0


class _OnCard:
    """A session on the CPU that says it is on a card."""

    def __init__(self, path: str, options: Any, **_: Any) -> None:
        self._session = SESSION(path, options, providers=["CPUExecutionProvider"])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _as_if_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the engine does for CUDA, its float16 graph and cache too, computed by the CPU."""
    allocate = ort.OrtValue.ortvalue_from_shape_and_type
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", _OnCard)
    monkeypatch.setattr(
        ort.OrtValue,
        "ortvalue_from_shape_and_type",
        lambda size, kind, _device, i: allocate(size, kind, "cpu", i),
    )
    read = ort.OrtValue.numpy
    monkeypatch.setattr(ort.OrtValue, "numpy", lambda self: read(self).copy())  # off the card
    monkeypatch.setattr(Cells, "ragged", lambda self, _: self.used > self.live)  # close every hole


@pytest.mark.parametrize("level", ["fp16", "int8"])
def test_the_graph_for_cards_agrees_with_the_other(
    reference: Reference, questions: list[str], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reference("policy", level)
    walks = []
    for device in ("CPU", "CUDA"):
        with monkeypatch.context() as patch:
            if device == "CUDA":
                _as_if_on_a_card(patch)
            with open_engine(path, replace(OPTIONS, device="auto")) as engine:
                assert engine.device.startswith(device)
                assert engine.on_card == (device == "CUDA")
                assert engine.kv_value_bytes == (2 if engine.on_card else 4)
                if engine.on_card or level == "int8":
                    assert engine.weight_bits == engine.artifact.bits_per_weight
                tokens = engine.tokenizer.encode(" ".join(questions))[:200]
                walks.append((engine.kv_bytes, _walk(engine, tokens, 0)))
    (size, exact), (half, ours) = walks
    assert half == size / 2
    off = max(np.abs(a[0] - b[0]).max() for a, b in zip(exact, ours, strict=True))
    assert 0 < off < (0.1 if level == "fp16" else 1.0)


def test_a_card_whose_attention_refuses_means_the_cpu(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("attention_bias\n is not supported")

    _as_if_on_a_card(monkeypatch)
    monkeypatch.setattr(_OnCard, "run", refuse, raising=False)
    with open_engine(reference("policy", "int4"), replace(OPTIONS, device="auto")) as engine:
        said = "onnxruntime refuses: attention_bias is not supported"
        assert engine.device == f"CPU, 1 thread ({said})"


@pytest.mark.gpu
def test_a_card_agrees_with_the_cpu(reference: Reference, questions: list[str]) -> None:
    rows = []
    for device in ("cpu", "auto"):
        with open_engine(reference("policy", "fp16"), replace(OPTIONS, device=device)) as engine:
            if device == "auto" and not engine.device.startswith("CUDA"):
                pytest.skip(engine.device)
            rows.append(_walk(engine, engine.tokenizer.encode(" ".join(questions))[:200], 0))
    for (logits, hidden), (exact, exact_hidden) in zip(*rows, strict=True):
        assert np.abs(logits - exact).max() < 0.1
        assert np.abs(hidden - exact_hidden).max() < 0.1
