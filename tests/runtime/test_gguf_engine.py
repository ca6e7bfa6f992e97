"""What only llama.cpp does: shared cells, hidden states, cache types, placement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.units import GIB
from runtime import devices
from runtime.devices import Card
from runtime.engine import ContextFull, Sampling
from runtime.load import EngineOptions, open_engine
from tests.conftest import REFERENCE

Reference = Callable[[str, str], Path]
OPTIONS = EngineOptions(device="cpu", threads=1, context=512, max_branches=16)


def test_siblings_share_the_cells_of_their_prefix(
    reference: Reference, questions: list[str]
) -> None:
    with open_engine(reference("policy", "f16"), OPTIONS) as engine:
        prompt = engine.tokenizer.encode(" ".join(questions))[:300]
        with engine.open(prompt) as root:
            children = engine.fork(root, 15)  # 16 x 300 tokens in a cache of 512
            steps = engine.extend(children, Sampling(temperature=2.0, max_tokens=12))
            assert sum(len(step.token_ids) for step in steps) > 100


def test_a_full_cache_leaves_the_branches_as_they_were(
    reference: Reference, questions: list[str]
) -> None:
    with open_engine(reference("policy", "f16"), OPTIONS) as engine:
        tokens = engine.tokenizer.encode(" ".join(questions))
        with engine.open(tokens[:300]) as root:
            one, two = engine.fork(root, 2)
            with pytest.raises(ContextFull, match="KV cache of 512 tokens is full"):
                engine.feed([one, two], [tokens[300:500], tokens[300:500]])
            assert engine.length(one) == engine.length(two) == 300
            engine.release([two])
            fed = engine.feed([one], [tokens[300:500]]).logits.copy()
        with engine.open(tokens[:500]) as fresh:
            assert np.abs(engine.logits([fresh]) - fed).max() < 5e-2


@pytest.mark.parametrize("hidden", [False, True])
def test_long_feeds_are_split(
    reference: Reference, questions: list[str], hidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = []
    for limit in (2048, 32):
        monkeypatch.setattr("runtime.gguf_engine.BATCH_TOKENS", limit)
        with open_engine(reference("policy", "f16"), OPTIONS) as engine:
            tokens = engine.tokenizer.encode(" ".join(questions[:3]))
            with engine.open(tokens[:50]) as root:
                branches = engine.fork(root, 3)
                parts = [tokens[50:90], tokens[50:55], tokens[50:81]]  # 76 tokens: 3 calls of 32
                output = engine.feed(branches, parts, hidden=hidden)
                outputs.append((output.logits.copy(), output.hidden))
                assert (output.hidden is not None) == hidden
                if output.hidden is not None:
                    outputs[-1] = (output.logits.copy(), output.hidden.copy())
    assert outputs[1][0].shape == (3, 1024)
    assert np.abs(outputs[0][0] - outputs[1][0]).max() < 5e-2
    if hidden:
        assert np.abs(outputs[0][1] - outputs[1][1]).max() < 5e-2


def test_hidden_states_are_those_of_transformers(
    reference: Reference, questions: list[str]
) -> None:
    ids = []
    rows = []
    for path in (reference("policy", "f32"), REFERENCE / "policy"):
        with open_engine(path, OPTIONS) as engine:
            ids = engine.tokenizer.encode(questions[0])
            with engine.open(ids[:10]) as root:
                one, two = engine.fork(root, 2)
                output = engine.feed([one, two], [ids[10:14], ids[10:20]], hidden=True)
                assert output.hidden is not None
                rows.append(output.hidden.copy())
    assert rows[0].shape == (2, 256)
    assert np.abs(rows[0] - rows[1]).max() < 2e-2


@pytest.mark.parametrize("kv_type", ["q8_0", "q4_0"])
def test_quantized_caches(reference: Reference, questions: list[str], kv_type: str) -> None:
    logits, sizes = [], []
    for options in (OPTIONS, replace(OPTIONS, kv_type=kv_type)):
        with open_engine(reference("policy", "f16"), options) as engine:
            sizes.append(engine.kv_bytes)
            with engine.open(engine.tokenizer.encode(questions[0])) as root:
                logits.append(engine.logits([root]).copy())
    assert 0.25 < sizes[1] / sizes[0] < 0.55
    assert 0 < np.abs(logits[0] - logits[1]).max() < 5


def test_a_device_without_a_card_is_an_error_and_auto_says_why(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "llama_cards", lambda _: [])
    for device, family in (("cuda", "CUDA"), ("vulkan", "Vulkan")):
        with pytest.raises(ValueError, match=f"--device {device}: no {family} card"):
            open_engine(reference("policy", "f16"), replace(OPTIONS, device=device))
    with open_engine(reference("policy", "f16"), replace(OPTIONS, device="auto")) as engine:
        assert engine.device.startswith("CPU, 1 thread (no card, or")


def test_a_card_too_small_for_one_layer_means_the_cpu(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "llama_cards", lambda _: [Card("Small", GIB, GIB, "CUDA")])
    with open_engine(reference("policy", "f16"), replace(OPTIONS, device="auto")) as engine:
        assert engine.device == "CPU, 1 thread (1.0 GiB free on Small hold no layer)"


def test_what_is_no_model_is_named(tmp_path: Path, reference: Reference) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_engine(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(ValueError, match="not a GGUF"):
        open_engine(tmp_path / "text.gguf")
    whole = reference("policy", "q8_0").read_bytes()
    (tmp_path / "short.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cut short"):
        open_engine(tmp_path / "short.gguf")
    with pytest.raises(ValueError, match=r"300 branches are not in llama.cpp's 1..256"):
        open_engine(reference("policy", "q8_0"), replace(OPTIONS, max_branches=300))


@pytest.mark.gpu
def test_a_card_agrees_with_the_cpu(reference: Reference, questions: list[str]) -> None:
    if not devices.llama_cards():
        pytest.skip("no CUDA card, or llama.cpp was built without CUDA")
    rows = []
    for device in ("cpu", "cuda"):
        with open_engine(reference("policy", "f16"), replace(OPTIONS, device=device)) as engine:
            assert ("layers" in engine.device) == (device == "cuda")
            with engine.open(engine.tokenizer.encode(questions[0])) as root:
                rows.append(engine.logits([root]).copy())
    assert np.abs(rows[0] - rows[1]).max() < 0.1
