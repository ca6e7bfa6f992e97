"""Sizes of decoders whose layers differ, and of architectures that are not known here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from convert.gguf_artifact import artifact_from_gguf
from convert.refusal import Refusal
from runtime.engine import Sampling
from runtime.load import EngineOptions, open_engine
from tests.convert.rewritten_gguf import rewrite, write_mamba
from tests.convert.small_gguf import write_small

Reference = Callable[[str, str], Path]


def test_layers_that_differ_are_counted_one_by_one(tmp_path: Path) -> None:
    heads = [4] * 30 + [2] * 9 + [0]
    many = {"llama.attention.head_count_kv": heads, "llama.block_count": 40}
    shapes: dict[str, Any] = {"blk.0.attn_k.weight": None}
    shapes |= {f"blk.{i}.attn_norm.weight": (64,) for i in range(40)}
    shape = artifact_from_gguf(write_small(tmp_path / "x.gguf", many, shapes)).shape
    assert shape.kv_heads == 4  # the most, and not the length of the array
    assert shape.kv_bytes_per_token() == 2 * 16 * sum(heads) * 2
    assert shape.linear_parameters == 64 * 64 + 64 * 128  # of the tensors in the file


def test_keys_and_values_of_two_lengths(tmp_path: Path) -> None:
    lengths = {"llama.attention.value_length": 8}
    shapes = {"blk.0.attn_v.weight": None}
    shape = artifact_from_gguf(write_small(tmp_path / "x.gguf", lengths, shapes)).shape
    assert shape.kv_bytes_per_token() == 2 * (16 + 8) * 2


def test_experts_count_as_far_as_they_are_used(tmp_path: Path) -> None:
    experts = {"llama.expert_count": 8, "llama.expert_used_count": 2}
    shapes = {"blk.0.ffn_down.weight": None, "blk.0.ffn_down_exps.weight": (8, 64, 128)}
    shape = artifact_from_gguf(write_small(tmp_path / "x.gguf", experts, shapes)).shape
    assert shape.linear_parameters == 64 * 64 + 32 * 64 + 2 * 64 * 128


def test_a_plain_decoder_is_counted_as_before(reference: Reference) -> None:
    shape = artifact_from_gguf(reference("policy", "q8_0")).shape
    assert (shape.linear, shape.cached) == (None, None)


def test_a_byte_that_is_no_text(tmp_path: Path) -> None:
    path = write_small(tmp_path / "x.gguf", {"general.name": "name"})
    content = path.read_bytes()
    place = content.index(b"general.name") + len(b"general.name") + 4 + 8
    path.write_bytes(content[:place] + b"na\xffe" + content[place + 4 :])
    assert artifact_from_gguf(path).source == "na\ufffde"


def test_a_file_of_the_other_byte_order_is_told(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_block_count(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(Refusal, match=r"x.gguf is big-endian; turn it: gguf-convert-endian"):
        artifact_from_gguf(tmp_path / "x.gguf")


def test_a_recurrent_model_keeps_no_keys(reference: Reference, tmp_path: Path) -> None:
    path = write_mamba(reference("policy", "f16"), tmp_path / "mamba.gguf")
    options = EngineOptions(device="cpu", threads=1, context=256, max_branches=4)
    with open_engine(path, options) as engine, engine.open([1, 5, 6, 7]) as root:
        assert engine.kv_bytes == 0
        assert engine.artifact.shape.linear == 2 * (
            256 * 64 + 128 * 4 + 36 * 128 + 128 * 4 + 128 * 16 + 64 * 128
        )
        first, second = engine.fork(root, 2)
        steps = engine.extend([first, second], Sampling(temperature=1, max_tokens=5))
        assert steps[0].token_ids != steps[1].token_ids
        forked = engine.logits([first]).copy()
        with pytest.raises(Refusal, match=r"mamba.gguf is a recurrent model: .* take back tokens"):
            engine.rewind(first, 3)
    ids = [1, 5, 6, 7, *steps[0].token_ids]
    with open_engine(path, options) as engine, engine.open(ids) as root:
        assert np.abs(engine.logits([root]) - forked).max() < 1e-4


def test_any_architecture_that_llama_cpp_opens(reference: Reference, tmp_path: Path) -> None:
    """Gemma's decoder over the reference policy's tensors: GELU, scaled embeddings, no own head."""
    source, path = reference("policy", "f16"), tmp_path / "gemma.gguf"
    tensors = [t for t in gguf.GGUFReader(source).tensors if t.name != "output.weight"]
    rewrite(source, path, "gemma", {}, tensors)
    options = EngineOptions(device="cpu", threads=1, context=256, max_branches=4)
    with open_engine(path, options) as engine, engine.open([1, 5, 6, 7, 8, 9]) as root:
        steps = engine.extend(engine.fork(root, 2), Sampling(temperature=1, max_tokens=5))
        shape = engine.artifact.shape
    assert all(np.isfinite(step.logprobs).all() for step in steps)
    same = artifact_from_gguf(source).shape
    assert shape.linear == same.linear_parameters
    assert shape.kv_bytes_per_token() == same.kv_bytes_per_token()
