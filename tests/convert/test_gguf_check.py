"""Headers of GGUF files that would hang, end or mislead llama.cpp: one line each, at once."""

from __future__ import annotations

import io
import re
import struct
import time

import gguf
import numpy as np
import pytest

from convert.gguf_artifact import artifact_from_gguf
from convert.gguf_header import read_header
from convert.gguf_stream import Damage, Stream, array_header
from convert.gguf_vocabulary import check_tokens
from convert.refusal import Refusal
from tests.convert.small_gguf import TOKENS, write_small

NAN, INF = float("nan"), float("inf")
EPS, BASE = "llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base"


def _line(path):
    """What is said of a file; it must be one line, within a second."""
    begin = time.perf_counter()
    with pytest.raises(Refusal) as caught:
        artifact_from_gguf(path)
    assert time.perf_counter() - begin < 1
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    return said


def test_the_small_one_is_whole(tmp_path):
    found = artifact_from_gguf(write_small(tmp_path / "x.gguf", {})).shape
    assert (found.layers, found.heads, found.kv_heads, found.head_dim) == (1, 4, 2, 16)
    assert (found.vocab, found.context) == (20, 32)


@pytest.mark.parametrize(
    ("key", "values", "choice"),
    [
        (EPS, (NAN, INF, -INF, -1.0, 0.2, "x"), r"0.0 to 0.1|a finite number"),
        (BASE, (NAN, 0.0, -1.0, 1e30, [1.0]), r"2.0 to 1e\+12|a finite number"),
        ("llama.rope.scaling.factor", (NAN, -1.0, 1e30, "2"), r"0.001 to|a finite number"),
        ("llama.final_logit_softcapping", (NAN, INF), r"a finite number"),
        ("llama.rope.scaling.type", ("cubic", 3), r"choose none, linear, yarn, longrope"),
        ("llama.block_count", (0, 513, 1 << 20, 1.0, "1", True, [1]), r"from 1 to 512"),
        ("llama.embedding_length", (0, 1 << 31, "64"), r"from 1 to 131072"),
        ("llama.attention.head_count", (0, 1 << 31), r"from 1 to 4096"),
        ("llama.attention.head_count_kv", (0, 1 << 31), r"from 1 to 4096"),
        ("llama.attention.head_count_kv", (3,), r"a divisor of the heads"),
        ("llama.attention.head_count_kv", ([0, 0],), r"above 0"),
        ("llama.attention.head_count", ([4, 4, 4], [4, 3]), r"one for each layer"),
        ("llama.attention.key_length", (0, 1 << 31), r"from 2 to 4096"),
        ("llama.attention.key_length", (15,), r"an even number"),
        ("llama.attention.head_count", (128,), r"key_length 0; choose|from 2 to 4096"),
        ("llama.rope.dimension_count", (15,), r"an even number"),
        ("llama.rope.dimension_count", (32,), r"from 0 to 16"),
        ("llama.feed_forward_length", (0,), r"from 1 to"),
        ("llama.context_length", (0, (1 << 32) - 1), r"from 1 to 2147483647"),
        ("llama.expert_count", (3, 1000), r"one expert or more|from 0 to 512"),
        ("general.alignment", (0, 1, 2, 8, 16, 48, 1 << 31, "32"), r"power of two from 32"),
        ("general.name", (3,), r"choose a text"),
        ("general.file_type", ("x", 1 << 31), r"a whole number"),
        ("tokenizer.ggml.bos_token_id", (20, (1 << 32) - 1, "x"), r"from 0 to 19"),
        ("tokenizer.ggml.unknown_token_id", ("x",), r"a whole number"),
        ("tokenizer.ggml.scores", ([0.0] * 19,), r"20 tokens and 19 of"),
        ("tokenizer.ggml.scores", ([NAN] * 20,), r"scores that are no numbers"),
        ("tokenizer.ggml.token_type", ([1] * 21,), r"20 tokens and 21 of"),
        ("tokenizer.ggml.tokens", ([1] * 20,), r"tokens that are no texts"),
        ("starbase.role", ("judge", 3), r"choose policy, reward, thinker"),
        ("starbase.heads", ("../x", "a/b", "..", ""), r"a file beside it"),
        ("starbase.prompt.step_stop", (3, ""), r"Expected `str`|what ends a step"),
        ("starbase.prompt.tempalte", ("x",), r"choose template, step_stop, answer_marker"),
    ],
)
def test_a_value_beyond_reason(tmp_path, key, values, choice):
    for value in values:
        bare = {} if "length" in key else {"llama.attention.key_length": None}
        said = _line(write_small(tmp_path / "x.gguf", bare | {key: value}))
        assert key.rpartition(".")[2] in said or key.endswith(("head_count", "head_count_kv"))
        assert re.search(choice, said), said


@pytest.mark.parametrize("key", ["llama.rope.scaling.factor", EPS])
def test_zero_is_a_value_for_some(tmp_path, key):
    artifact_from_gguf(write_small(tmp_path / "x.gguf", {key: 0.0}))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([*TOKENS[:19], "t3"], r"token 't3' twice, as 3 and 19"),
        ([*TOKENS[:19], "t3\0x"], r"token 't3' twice, as 3 and 19"),
        (["", *TOKENS[:18], "[EMPTY_0]"], r"token '\[EMPTY_0\]' twice, as 0 and 19"),
        ([*TOKENS, "more"], r"expected \[21, 64\]|21 tokens and 20"),
        (None, r"holds no tokenizer.ggml.tokens"),
    ],
)
def test_vocabularies_that_llama_cpp_ends_on(tmp_path, tokens, message):
    path = write_small(tmp_path / "x.gguf", {"tokenizer.ggml.tokens": tokens})
    with pytest.raises(Refusal, match=message):
        artifact_from_gguf(path)


def test_empty_tokens_get_names_as_in_llama_cpp(tmp_path):
    tokens = ["", "", *TOKENS[:18]]
    path = write_small(tmp_path / "x.gguf", {"tokenizer.ggml.tokens": tokens})
    assert artifact_from_gguf(path).shape.vocab == 20


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"blk.1.attn_q.weight": (64, 64)}, r"block_count 1 and holds tensors of 2 layers"),
        ({"blk.0.attn_k.weight": (64, 64)}, r"attn_k.weight shape \[64, 64\], expected \[32, 64\]"),
        ({"token_embd.weight": (19, 64)}, r"token_embd.weight shape \[19, 64\], expected \[20, 64"),
        ({"output_norm.weight": (63,)}, r"output_norm.weight shape \[63\], expected \[64\]"),
    ],
)
def test_tensors_that_do_not_fit_the_header(tmp_path, shapes, message):
    path = write_small(tmp_path / "x.gguf", {}, shapes)
    with pytest.raises(Refusal, match=message):
        artifact_from_gguf(path)


def test_sizes_that_differ_by_layer(tmp_path):
    many = {"llama.attention.head_count_kv": [4] * 30 + [2] * 10, "llama.block_count": 40}
    shapes = {"blk.0.attn_k.weight": None}
    shapes |= {f"blk.{i}.attn_norm.weight": (64,) for i in range(40)}
    found = artifact_from_gguf(write_small(tmp_path / "x.gguf", many, shapes))
    assert found.shape.kv_heads == 4  # the most, and not the length of the array
    path = write_small(tmp_path / "x.gguf", {"llama.attention.head_count_kv": [2] * 600})
    with pytest.raises(Refusal, match=r"head_count_kv 'an array of 600'"):
        artifact_from_gguf(path)


@pytest.mark.parametrize("place", [8, 16], ids=["tensors", "keys"])
@pytest.mark.parametrize("count", [1 << 17, 1 << 20, 1 << 31, (1 << 64) - 1])
def test_counts_beyond_the_file(tmp_path, place, count):
    path = write_small(tmp_path / "x.gguf", {})
    content = bytearray(path.read_bytes())
    content[place : place + 8] = struct.pack("<Q", count)
    path.write_bytes(content + bytes(1 << 22))  # zeros read as tensors without a name
    assert "damaged" in _line(path)


@pytest.mark.parametrize("length", [1 << 20, 1 << 31, (1 << 64) - 1])
def test_an_array_longer_than_the_file(tmp_path, length):
    path = write_small(tmp_path / "x.gguf", {})
    content = bytearray(path.read_bytes())
    for key in (b"tokenizer.ggml.tokens", b"tokenizer.ggml.scores"):
        changed = bytearray(content)
        place = changed.index(key) + len(key) + 8
        changed[place : place + 8] = struct.pack("<Q", length)
        path.write_bytes(changed)
        assert "damaged" in _line(path)


def test_a_tensor_elsewhere_and_one_of_no_type(tmp_path):
    path = write_small(tmp_path / "x.gguf", {})
    content = path.read_bytes()
    place = content.index(b"output_norm.weight") + len(b"output_norm.weight") + 4 + 8
    for at, value, message in ((place + 4, 64, "at 64, expected"), (place, 36, "unknown type 36")):
        path.write_bytes(content[:at] + struct.pack("<I", value) + content[at + 4 :])
        assert message in _line(path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"llama.context_length", b"llama.context_lengtg"),  # one of two
        (struct.pack("<I", 3), struct.pack("<I", 4)),  # the version
        (struct.pack("<II", 9, 6), struct.pack("<II", 9, 9)),  # an array of arrays
        (b"output_norm.weight" + struct.pack("<I", 1), b"output_norm.weight\5\0\0\0"),  # sides
        (b"blk.0.attn_q.weight", b"blk.0.attn_k.weight"),
    ],
)
def test_a_header_of_another_form(tmp_path, before, after):
    path = write_small(tmp_path / "x.gguf", {"llama.context_lengtg": 3})
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))
    assert "damaged" in _line(path)


@pytest.mark.parametrize("limit", ["MOST_KEYS", "MOST_TENSORS"])
def test_a_header_without_end(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(f"convert.gguf_header.{limit}", 3)
    assert "damaged" in _line(write_small(tmp_path / "x.gguf", {}))


def test_a_stream_that_ends_before_it_should():
    with pytest.raises(Damage):
        Stream(io.BytesIO(bytes(10)), 100).take(50)  # cut while it is read
    endless = io.BytesIO(struct.pack("<IQ", 6, 1 << 25) + bytes(100))
    with pytest.raises(Damage):
        array_header(Stream(endless, 1 << 40))


@pytest.mark.parametrize("count", [0, (1 << 22) + 1])
def test_a_vocabulary_of_no_size(tmp_path, count):
    with pytest.raises(Refusal, match=rf"holds {count} tokens; choose a model of 1 to 4194304"):
        check_tokens(tmp_path, [b"x"] * count)


def test_a_split_model_by_any_type(tmp_path):
    for value, message in ((2, "part 1 of a model in 2 files; name"), ("x", "'x'"), (2.0, "2.0")):
        path = write_small(tmp_path / "x.gguf", {"split.count": value})
        assert message in _line(path)


def test_a_large_vocabulary_is_read_at_once(tmp_path):
    path = tmp_path / "large.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list([f"token {i}" for i in range(150_000)])
    writer.add_token_merges([f"token {i}" for i in range(150_000)])
    writer.add_tensor("x", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    begin = time.perf_counter()
    found = read_header(path)
    assert time.perf_counter() - begin < 0.5
    assert found.values["tokenizer.ggml.merges"] == 150_000
    assert found.read_float32(found.tensors[0]).shape == (32,)
