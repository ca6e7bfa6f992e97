"""Thinkers as GGUF: the two rows, the embedding's type, the protocol, and torch's own answers."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import gguf
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from convert.artifact import ThoughtProtocol, read_artifact
from convert.build import build
from convert.checkpoint import read_checkpoint
from convert.ensure import ensure
from convert.gguf_artifact import artifact_from_gguf
from convert.gguf_header import read_header
from convert.heads import read_heads, read_talk_head
from convert.levels import LEVELS, parse_level
from convert.order import Order
from convert.sources import resolve
from convert.thoughts import thought_rows
from convert.torch_artifact import artifact_from_folder
from runtime.load import open_engine
from runtime.options import EngineOptions
from runtime.torch_engine import TorchEngine
from tests.convert import stock_llama

IDS = [1, 40, 300, 1024, 77, 512, 1025, 9, 1024, 1025, 600]  # START and END among text
Q8_0 = gguf.GGMLQuantizationType.Q8_0
OPTIONS = EngineOptions(device="cpu", context=512)


@pytest.fixture
def thinker(tmp_path, tiny_thinker):
    return tiny_thinker(tmp_path / "thinker")


def _build(source, folder, *levels, **options):
    found = resolve(str(source))
    return build(Order(found, [parse_level(name) for name in levels], folder, **options))


def _tensors(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def _embeddings(path):
    """(V, D) in float32, as llama.cpp would dequantize them."""
    tensor = _tensors(path)["token_embd.weight"]
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type)


@pytest.mark.parametrize(
    ("level", "error"), [("f32", 0), ("f16", 1e-3), ("bf16", 1e-2), ("q8_0", 1e-2), ("q2_k", 1e-2)]
)
def test_rows_are_the_scaled_embeddings_and_no_other_row_changes(thinker, tmp_path, level, error):
    (artifact,) = _build(thinker, tmp_path, level)
    source = load_file(thinker / "model.safetensors")
    expected = source["model.embed_tokens.weight"].copy()
    expected[1024] = source["start_embedding"][0] * np.float32(100)
    expected[1025] = source["end_embedding"][0] * np.float32(100)
    assert np.abs(expected[1024] - source["model.embed_tokens.weight"][1024]).max() > 0.1
    largest = np.abs(expected).max(axis=1, keepdims=True)
    assert (np.abs(_embeddings(artifact.path) - expected) <= error * largest).all()


def test_rows_are_found_in_any_block(thinker, tmp_path, monkeypatch):
    (whole,) = _build(thinker, tmp_path / "a", "f16")
    monkeypatch.setattr("convert.tensor.BLOCK_WEIGHTS", 1000)
    (blocks,) = _build(thinker, tmp_path / "b", "f16")
    assert blocks.path.read_bytes() == whole.path.read_bytes()


def test_dash_puts_one_token_in_both_rows(thinker, tmp_path):
    (artifact,) = _build(thinker, tmp_path, "f16", thought_embedding="dash")
    rows = thought_rows(read_checkpoint(thinker), "dash").astype(np.float16)
    np.testing.assert_array_equal(_embeddings(artifact.path)[1024:], rows.astype(np.float32))
    assert artifact.thought == ThoughtProtocol(1024, 1025, 8, "dash")
    assert artifact_from_gguf(artifact.path).thought == artifact.thought


@pytest.mark.parametrize("source", ["checkpoint", "gguf"])
def test_the_embedding_stays_at_q8_0_and_nothing_else_changes(thinker, tmp_path, source):
    levels = ["f16", "q8_0", "q6_k", "q4_k_m", "q4_0", "q3_k_s", "q2_k", "tq1_0"]
    (full, *_) = built = _build(thinker, tmp_path, *levels)
    if source == "gguf":
        built = [full, *_build(full.path, tmp_path / "again", *levels[1:])]
    for artifact in built[1:]:
        plain = tmp_path / "plain.gguf"
        stock_llama.quantize(full.path, plain, LEVELS[artifact.level].ftype)
        ours, theirs = _tensors(artifact.path), _tensors(plain)
        assert ours["token_embd.weight"].tensor_type == Q8_0
        assert (theirs["token_embd.weight"].tensor_type == Q8_0) == (artifact.level == "q8_0")
        for name in ours.keys() - {"token_embd.weight"}:
            assert ours[name].tensor_type == theirs[name].tensor_type
            np.testing.assert_array_equal(ours[name].data, theirs[name].data)


def test_an_unquantized_thinker_stays_so(thinker, tmp_path):
    (full,) = _build(thinker, tmp_path, "f32")
    (half,) = _build(full.path, tmp_path, "f16")
    assert _tensors(half.path)["token_embd.weight"].tensor_type == gguf.GGMLQuantizationType.F16


@pytest.mark.parametrize("level", ["f16", "q4_k_m"])
def test_manifest_and_header_carry_the_protocol(thinker, tmp_path, level):
    (artifact,) = _build(thinker, tmp_path, level)
    alone = artifact_from_gguf(artifact.path)
    assert read_artifact(artifact.path) == artifact
    assert artifact.thought == alone.thought == ThoughtProtocol(1024, 1025, 8, "trained")
    assert artifact.role == alone.role == "thinker"
    assert artifact.heads == alone.heads
    assert re.fullmatch(r"thinker-[0-9a-f]{12}\.heads\.safetensors", str(artifact.heads))
    assert set(artifact.sha256) == {artifact.path.name, artifact.heads}
    (again,) = _build(artifact.path, tmp_path / "again", "q2_k")
    assert again.thought == artifact.thought
    assert again.heads_path is not None
    assert again.heads_path.parent == tmp_path / "again"
    assert again.heads_path.exists()


def test_the_heads_file_holds_all_that_the_gguf_does_not(thinker, tmp_path):
    (artifact,) = _build(thinker, tmp_path, "q2_k")
    source = load_file(thinker / "model.safetensors")
    beside = load_file(artifact.heads_path)
    extra = {n for n in source if n.startswith(("talk_head.", "start_", "end_"))}
    assert set(beside) == extra
    for name, tensor in beside.items():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, source[name])


@pytest.mark.parametrize("known", [True, False])
def test_start_and_end_are_control_tokens(thinker, tmp_path, known):
    if not known:
        path = thinker / "tokenizer.json"
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"added_tokens": document["added_tokens"][:3]}))
    (artifact,) = _build(thinker, tmp_path, "f16")
    reader = gguf.GGUFReader(artifact.path)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    assert tokens[1024:] == ["<|startthought|>", "<|endthought|>"]
    assert types[1024:] == [gguf.TokenType.CONTROL] * 2
    with stock_llama.Stock(artifact.path) as stock:
        assert np.isfinite(stock.logits(IDS)).all()
        assert stock.encode("<|startthought|>", special=True, bos=False)[-1] == 1024
        assert 1024 not in stock.encode("<|startthought|>")


def _outputs(engine):
    """Log-probabilities and hidden states after every token of IDS but the first."""
    with engine, engine.open(IDS[:1]) as branch:
        out = engine.feed([branch], [IDS[1:]], hidden=True, tail=len(IDS) - 1)
        return torch.from_numpy(out.logits.copy()).log_softmax(-1), out.hidden.copy()  # views


@pytest.mark.parametrize("embedding", ["trained", "dash"])
def test_torch_and_f16_agree_on_thoughts(thinker, tmp_path, embedding, caplog, capfd):
    (artifact,) = _build(thinker, tmp_path, "f16", thought_embedding=embedding)
    folder = replace(artifact_from_folder(thinker, None, embedding), level="f32")
    full, full_hidden = _outputs(TorchEngine(folder, OPTIONS))
    assert "talk_head" not in caplog.text + "".join(capfd.readouterr())
    half, half_hidden = _outputs(open_engine(artifact.path, OPTIONS))
    assert (full.exp() * (full - half)).sum(-1).mean() < 1e-3
    np.testing.assert_allclose(half_hidden, full_hidden, atol=0.03)
    other = "dash" if embedding == "trained" else "trained"
    wrong, _ = _outputs(
        TorchEngine(
            replace(folder, thought=artifact_from_folder(thinker, None, other).thought), OPTIONS
        )
    )
    assert (full.exp() * (full - wrong)).sum(-1).mean() > 1e-2


def test_a_folder_opens_with_its_trained_rows(thinker):
    engine = open_engine(thinker, OPTIONS)
    assert engine.artifact.thought == ThoughtProtocol(1024, 1025, 8, "trained")
    trained, _ = _outputs(engine)
    expected, _ = _outputs(TorchEngine(artifact_from_folder(thinker, None, "trained"), OPTIONS))
    np.testing.assert_array_equal(trained, expected)


def test_the_talk_head_is_torchs(thinker, tmp_path):
    from torch import nn

    (artifact,) = _build(thinker, tmp_path, "q4_k_m")
    layers = [nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(256, 1, bias=False))
    source = load_file(thinker / "model.safetensors")
    prefix = "talk_head.0."
    state = {n.removeprefix(prefix): torch.from_numpy(t) for n, t in source.items() if prefix in n}
    model.load_state_dict(state)
    rows = np.random.default_rng(0).normal(size=(50, 512)).astype(np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(rows)).numpy()
    assert 0.1 < np.abs(expected).mean() < 1
    for where in (artifact, artifact_from_folder(thinker)):
        head = read_talk_head(where)
        assert head(rows).dtype == np.float32
        np.testing.assert_allclose(head(rows), expected, atol=1e-6)
        assert all(weight.flags.c_contiguous for weight, _ in head.layers)
    assert artifact.heads_path is not None
    artifact.heads_path.unlink()
    with pytest.raises(FileNotFoundError, match=r"heads.safetensors is missing"):
        read_talk_head(artifact)


def test_a_head_of_the_other_kind_is_none(thinker, reference):
    with pytest.raises(ValueError, match=r"thinker has no reward head"):
        read_heads(artifact_from_folder(thinker))
    with pytest.raises(ValueError, match=r"names no heads file"):
        read_talk_head(artifact_from_gguf(reference("policy", "q8_0")))


def test_a_bad_thinker_leaves_nothing(thinker, tmp_path, edit):
    edit(thinker, start_embedding=np.full((2, 256), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"start_embedding holds NaN"):
        _build(thinker, tmp_path / "out", "q4_k_m")
    assert list((tmp_path / "out").iterdir()) == []
    edit(thinker, start_embedding=None)
    with pytest.raises(ValueError, match=r"lacks tensor start_embedding"):
        _build(thinker, tmp_path / "none", "q4_k_m")
    assert not (tmp_path / "none").exists()


def test_a_thought_embedding_needs_a_thinkers_checkpoint(thinker, mistral, tmp_path):
    with pytest.raises(ValueError, match=r"--thought-embedding dash: mistral is a policy model"):
        _build(mistral, tmp_path, "f16", thought_embedding="dash")
    (artifact,) = _build(thinker, tmp_path, "f16")
    with pytest.raises(
        ValueError, match=r"--thought-embedding trained: thinker-f16.gguf is a GGUF"
    ):
        _build(artifact.path, tmp_path, "q8_0", thought_embedding="trained")


def test_as_a_policy_it_does_not_think(thinker, tmp_path):
    (artifact,) = _build(thinker, tmp_path, "q2_k", role="policy")
    assert (artifact.role, artifact.thought, artifact.heads) == ("policy", None, None)
    assert _tensors(artifact.path)["token_embd.weight"].tensor_type != Q8_0


def test_ensure_keeps_embeddings_apart_and_heads_whole(thinker, tmp_path):
    trained, dash = (
        ensure(str(thinker), "q8_0", tmp_path, thought_embedding=e) for e in (None, "dash")
    )
    assert (trained.thought, dash.thought) == (
        ThoughtProtocol(1024, 1025, 8, "trained"),
        ThoughtProtocol(1024, 1025, 8, "dash"),
    )
    assert trained.path != dash.path
    assert trained.heads_path is not None
    stamp = trained.path.stat().st_mtime_ns
    assert ensure(str(thinker), "q8_0", tmp_path) == trained
    assert trained.path.stat().st_mtime_ns == stamp
    trained.heads_path.unlink()
    assert ensure(str(thinker), "q8_0", tmp_path) == trained
    assert trained.heads_path.exists()


@pytest.mark.parametrize("level", ["f16", "q8_0", "q4_k_m", "q3_k_s"])
def test_the_estimated_size_counts_the_embedding_at_q8_0(thinker, tmp_path, level):
    order = Order(resolve(str(thinker)), [parse_level(level)], tmp_path)
    weights = order.weights(order.checkpoint(), "thinker")
    (artifact,) = build(order)
    data = sum(tensor.size_bytes for tensor in read_header(artifact.path).tensors)
    assert weights.size_bytes(LEVELS[level]) == pytest.approx(data, rel=0.12)
    assert weights.beside == 256 * 512 + 256 * 256 + 3 * 256 + 4 * 256
    again = Order(resolve(str(artifact.path)), [parse_level("q2_k")], tmp_path).weights(
        None, "thinker"
    )
    assert (again.model, again.embedding) == (weights.model, 1026 * 256)
