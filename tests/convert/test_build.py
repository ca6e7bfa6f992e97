"""Outputs appear whole or not at all, and nothing is overwritten unasked."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from convert.artifact import read_artifact
from convert.build import build
from convert.checkpoint import read_checkpoint
from convert.gguf_artifact import artifact_from_gguf
from convert.levels import parse_level
from convert.order import Order, requantizes
from convert.sources import resolve
from convert.tensor import Tensor
from tests.convert.stock_llama import Stock


def _order(source, folder, *levels, **options):
    return Order(resolve(str(source)), [parse_level(name) for name in levels], folder, **options)


def test_manifest_and_hashes(tmp_path):
    (artifact,) = build(_order("reference:policy", tmp_path, "q8_0"))
    assert read_artifact(artifact.path) == artifact
    content = artifact.path.read_bytes()
    assert artifact.sha256 == {"policy-q8_0.gguf": hashlib.sha256(content).hexdigest()}
    assert artifact.source == "reference:policy"
    assert artifact.architecture == "mistral"
    assert set(artifact.tools) == {"gguf", "llama-cpp-python", "starbase-edge"}


def test_levels_come_in_the_order_asked_for_from_one_reading(tmp_path, monkeypatch):
    read = Counter()

    def widened(tensor, raw):
        read[tensor.name] += raw.size
        return real(tensor, raw)

    real = Tensor.widened
    monkeypatch.setattr(Tensor, "widened", widened)
    order = _order("reference:policy", tmp_path, "q2_k", "q8_0", "f32", "q4_0", "f16")
    assert [artifact.level for artifact in build(order)] == ["q2_k", "q8_0", "f32", "q4_0", "f16"]
    tensors = read_checkpoint(order.source.path).tensors
    assert read == {name: tensor.elements for name, tensor in tensors.items()}


def test_existing_files_need_force(tmp_path):
    (artifact,) = build(_order("reference:policy", tmp_path, "q8_0"))
    artifact.path.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"policy-q8_0.gguf exists; give --force"):
        build(_order("reference:policy", tmp_path, "q4_0", "q8_0"))
    assert artifact.path.read_bytes() == b"precious"
    assert not (tmp_path / "policy-q4_0.gguf").exists()
    build(_order("reference:policy", tmp_path, "q8_0", force=True))
    assert artifact.path.stat().st_size == artifact.size_bytes


def test_a_full_disk_is_seen_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"0.0 GB free and 0.0 GB are needed; choose another"):
        build(_order("reference:policy", tmp_path / "out", "q8_0"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("convert.stream.LevelFile.write", full)
    with pytest.raises(OSError, match="no space left on the disk"):
        build(_order("reference:policy", tmp_path, "f16", "q8_0"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FileExistsError):
        build(_order("reference:policy", tmp_path / "out", "q8_0"))
    with pytest.raises(NotADirectoryError):
        build(_order("reference:policy", tmp_path / "out" / "deeper", "q8_0"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_weights_leave_nothing(mistral, tmp_path, edit, value):
    weights = np.zeros((256, 512), np.float32)
    weights[3, 4] = value
    edit(mistral, **{"model.layers.1.mlp.down_proj.weight": weights})
    with pytest.raises(ValueError, match=r"layers.1.mlp.down_proj.weight holds NaN or infinite"):
        build(_order(mistral, tmp_path / "out", "q4_k_m", "f16"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_head_that_does_not_fit_leaves_nothing(mistral, tmp_path, edit):
    edit(mistral, **{"score.weight": np.ones((2, 100), np.float32)})
    with pytest.raises(ValueError, match=r"score.weight has shape \[2, 100\]"):
        build(_order(mistral, tmp_path / "out", "f16"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_master_in_bf16_where_f16_overflows(mistral, tmp_path, edit):
    weights = np.random.default_rng(0).normal(0, 1e5, (512, 256)).astype(np.float32)
    edit(mistral, **{"model.layers.1.mlp.up_proj.weight": weights})
    (artifact,) = build(_order(mistral, tmp_path / "out", "q8_0"))
    with Stock(artifact.path) as stock:
        assert np.isfinite(stock.logits([1, 5, 9])).all()
    with pytest.raises(ValueError, match=r"up_proj.weight exceeds float16; choose bf16 or f32"):
        build(_order(mistral, tmp_path / "f16", "f16"))
    assert list((tmp_path / "f16").iterdir()) == []


def test_a_gguf_is_a_source(tmp_path):
    (full,) = build(_order("reference:reward", tmp_path, "f16"))
    (small,) = build(_order(full.path, tmp_path, "q3_k_s"))
    (direct,) = build(_order("reference:reward", tmp_path, "q3_k_s"))
    assert small.path.name == "reward-f16-q3_k_s.gguf"
    assert small.path.read_bytes() == direct.path.read_bytes()
    assert replace(small, path=direct.path, sha256=direct.sha256) == direct
    assert requantizes(_order(full.path, tmp_path, "q2_k")) is None


def test_a_quantized_gguf_is_a_source_with_a_warning(tmp_path):
    (small,) = build(_order("reference:policy", tmp_path, "q8_0"))
    order = _order(small.path, tmp_path, "q2_k")
    assert "policy-q8_0.gguf is already quantized (q8_0" in (requantizes(order) or "")
    (smaller,) = build(order)
    assert artifact_from_gguf(smaller.path).level == "q2_k"
    itself = replace(order, source=replace(order.source, name="policy"), force=True)
    with pytest.raises(ValueError, match=r"would overwrite itself"):
        build(replace(itself, levels=[parse_level("q8_0")]))
