"""Quantized files are llama.cpp's own, byte for byte, and stock llama.cpp opens every level."""

from __future__ import annotations

import numpy as np
import pytest

from convert.build import build
from convert.levels import LEVELS, parse_level
from convert.order import Order
from convert.quantize import quantize
from convert.sources import resolve
from tests.convert import stock_llama

PLAIN = [level for level in LEVELS.values() if not level.needs_imatrix]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The reference policy at every level that needs no importance matrix."""
    folder = tmp_path_factory.mktemp("levels")
    order = Order(resolve("reference:policy"), PLAIN, folder)
    return {artifact.level: artifact for artifact in build(order)}


@pytest.mark.parametrize("level", PLAIN, ids=lambda level: level.name)
def test_every_level_opens_and_says_what_it_is(built, level):
    artifact = built[level.name]
    assert artifact.path.name == f"policy-{level.name}.gguf"
    assert artifact.path.stat().st_size == artifact.size_bytes
    assert 0.9 * level.bits < artifact.bits_per_weight < level.bits + 0.9
    with stock_llama.Stock(artifact.path) as stock:
        assert np.isfinite(stock.logits([1, 5, 9])).all()


def test_more_bits_lose_less(built):
    ids = list(range(3, 203))
    with stock_llama.Stock(built["f32"].path) as stock:
        full = stock.logits(ids)
    loss = {}
    for level in ("f16", "q8_0", "q4_k_m", "q2_k"):
        with stock_llama.Stock(built[level].path) as stock:
            loss[level] = float(np.square(stock.logits(ids) - full).mean())
    assert loss["f16"] < loss["q8_0"] < loss["q4_k_m"] < loss["q2_k"]


@pytest.mark.parametrize("name", ["q8_0", "q4_k_m", "q3_k_s", "q2_k", "iq4_xs", "tq1_0"])
def test_bytes_are_those_of_llama_model_quantize(built, tmp_path, name):
    direct = tmp_path / "direct.gguf"
    stock_llama.quantize(built["f16"].path, direct, parse_level(name).ftype)
    assert built[name].path.read_bytes() == direct.read_bytes()


def test_the_temporary_master_gives_the_same_file(built, tmp_path):
    (alone,) = build(Order(resolve("reference:policy"), [parse_level("q3_k_s")], tmp_path))
    assert alone.path.read_bytes() == built["q3_k_s"].path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "policy-q3_k_s.gguf",
        "policy-q3_k_s.gguf.manifest.json",
    ]


def test_progress_names_every_tensor(built, tmp_path):
    seen: list[str] = []
    quantize(built["f16"].path, tmp_path / "out.gguf", 7, progress=seen.append)
    assert len(seen) == 39
    assert "blk.3.ffn_down.weight" in seen


def test_llama_cpps_own_words_when_it_refuses(built, tmp_path):
    with pytest.raises(ValueError, match=r"llama.cpp cannot quantize: .*imatrix"):
        quantize(built["f16"].path, tmp_path / "out.gguf", LEVELS["iq1_s"].ftype)
    with pytest.raises(ValueError, match=r"llama.cpp cannot quantize: .*requantiz"):
        quantize(built["q8_0"].path, tmp_path / "out.gguf", LEVELS["q2_k"].ftype)


def test_the_child_needs_nothing_of_the_current_folder(built, tmp_path, monkeypatch):
    (tmp_path / "convert").mkdir()
    (tmp_path / "convert" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    quantize(built["f16"].path, tmp_path / "out.gguf", 7)
    assert (tmp_path / "out.gguf").read_bytes() == built["q8_0"].path.read_bytes()
