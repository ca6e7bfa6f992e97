"""Importance matrices: computed as torch computes them, read as llama.cpp reads them."""

from __future__ import annotations

import os
import struct

import gguf
import numpy as np
import pytest
import torch
import transformers as tf

from convert.build import build
from convert.calibrate import calibrate
from convert.imatrix import read_imatrix
from convert.levels import LEVELS, parse_level
from convert.order import Order
from convert.refusal import Refusal
from convert.sources import resolve
from tests.conftest import REFERENCE
from tests.convert.stock_llama import Stock


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Two chunks of 512 tokens, and a rest that is left out."""
    path = tmp_path_factory.mktemp("text") / "calibration.txt"
    path.write_text((REFERENCE / "benchmark.jsonl").read_text(encoding="utf-8")[:3600])
    return path


@pytest.fixture(scope="module")
def matrix(reference, text, tmp_path_factory):
    out = tmp_path_factory.mktemp("imatrix") / "policy.imatrix.gguf"
    done: list[tuple[int, int]] = []
    calibrate(reference("policy", "f16"), text, out, lambda *step: done.append(step))
    assert done == [(1, 2), (2, 2)]
    return out


def test_sums_of_squares_match_torch(reference, text, matrix):
    with Stock(reference("policy", "f16")) as stock:
        tokens = stock.encode(text.read_text())[:1024]
    chunks = torch.tensor(tokens).reshape(2, 512)
    chunks[:, 0] = 1  # each chunk begins with the beginning of a sequence
    model = tf.AutoModelForCausalLM.from_pretrained(REFERENCE / "policy", dtype=torch.float32)
    sums: dict[str, torch.Tensor] = {}
    for layer in (0, 3):
        block = model.model.layers[layer]
        for name, part in (("attn_v", block.self_attn.v_proj), ("ffn_down", block.mlp.down_proj)):
            part.register_forward_hook(
                lambda _m, inputs, _o, key=f"blk.{layer}.{name}.weight": sums.__setitem__(
                    key, inputs[0].double().square().sum((0, 1))
                )
            )
    with torch.inference_mode():
        model(input_ids=chunks)
    written = {t.name: t.data for t in gguf.GGUFReader(matrix).tensors}
    assert len(sums) == 4
    for name, expected in sums.items():
        assert written[f"{name}.counts"].item() == 1024
        ours = written[f"{name}.in_sum2"].ravel()
        np.testing.assert_allclose(ours, expected.numpy(), rtol=0.02, atol=1e-3 * expected.max())
    assert len(written) == 2 * 4 * 7  # every matrix of every layer, the last one included


def test_what_is_read_is_the_mean(matrix):
    found = read_imatrix(matrix)
    sums = {t.name: t.data for t in gguf.GGUFReader(matrix).tensors}
    ours = found.importance["blk.1.attn_q.weight"]
    np.testing.assert_allclose(ours, sums["blk.1.attn_q.weight.in_sum2"].ravel() / 1024, rtol=1e-6)
    assert (found.dataset, found.chunks) == ("calibration.txt", 2)


def test_the_older_form_reads_alike(matrix, tmp_path):
    found = read_imatrix(matrix)
    legacy = struct.pack("<i", len(found.importance))
    for name, values in found.importance.items():
        legacy += struct.pack("<i", len(name)) + name.encode()
        legacy += struct.pack("<ii", 2, values.size) + (values * 2).tobytes()
    path = tmp_path / "old.dat"
    path.write_bytes(legacy + struct.pack("<i", 2))
    again = read_imatrix(path)
    assert again.chunks == 2
    for name, values in found.importance.items():
        np.testing.assert_array_equal(again.importance[name], values)


@pytest.mark.parametrize("name", ["iq2_xxs", "iq1_m", "iq3_xs"])
def test_levels_that_need_one_open(matrix, tmp_path, name):
    order = Order(resolve("reference:policy"), [parse_level(name)], tmp_path, imatrix=matrix)
    (artifact,) = build(order)
    keys = gguf.GGUFReader(artifact.path).fields
    assert keys["quantize.imatrix.entries_count"].contents() == 28
    assert keys["quantize.imatrix.chunks_count"].contents() == 2
    with Stock(artifact.path) as stock:
        assert np.isfinite(stock.logits([1, 5, 9])).all()


def test_it_changes_the_result_and_calibrate_equals_imatrix(matrix, text, tmp_path):
    source, levels = resolve("reference:policy"), [parse_level("q2_k")]
    (plain,) = build(Order(source, levels, tmp_path / "plain"))
    (given,) = build(Order(source, levels, tmp_path / "given", imatrix=matrix))
    (computed,) = build(Order(source, levels, tmp_path / "computed", calibrate=text))
    assert given.path.read_bytes() == computed.path.read_bytes() != plain.path.read_bytes()
    assert (tmp_path / "computed" / "policy.imatrix.gguf").read_bytes() == matrix.read_bytes()


def test_bad_files_are_named(tmp_path, reference):
    text = tmp_path / "some.txt"
    text.write_text("not a matrix at all")
    with pytest.raises(ValueError, match=r"some.txt is not an importance matrix"):
        read_imatrix(text)
    with pytest.raises(ValueError, match=r"no entries"):
        read_imatrix(reference("policy", "q8_0"))
    with pytest.raises(ValueError, match=r"some.txt has \d+ tokens; a calibration needs 512"):
        calibrate(reference("policy", "q8_0"), text, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _legacy(name=b"blk.0.attn_q.weight", calls=1, columns=2, values=(1.0, 2.0), entries=1):
    head = struct.pack("<ii", entries, len(name)) + name
    return head + struct.pack("<ii", calls, columns) + np.array(values, "<f4").tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_legacy(values=(np.nan, 1.0)), r"values of blk.0.attn_q.weight are not finite"),
        (_legacy(values=(-1.0, 1.0)), r"are not finite, or below 0"),
        (_legacy(calls=-1), r"2 columns of -1 calls"),
        (_legacy(columns=0), r"0 columns of 1 calls"),
        (_legacy(columns=-5), r"-5 columns of 1 calls"),
        (_legacy(columns=(1 << 31) - 1), r"or was cut short"),
        (_legacy(entries=-1), r"no entries"),
        (_legacy(entries=(1 << 31) - 1), r"or was cut short"),
        (_legacy(name=b""), r"it gives '' 2 columns"),
        (struct.pack("<i", 2) + 2 * _legacy()[4:], r"is not an importance matrix: it gives 'blk"),
        (b"", r"or was cut short"),
    ],
)
def test_the_older_form_is_not_believed(tmp_path, content, message):
    path = tmp_path / "old.dat"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=message):
        read_imatrix(path)


def test_the_older_form_has_a_size(tmp_path):
    path = tmp_path / "old.dat"
    path.write_bytes(_legacy())
    os.truncate(path, 1 << 40)  # a hole
    with pytest.raises(Refusal, match=r"is larger than 1073741824 bytes"):
        read_imatrix(path)


@pytest.mark.parametrize(
    ("tensors", "chunks", "message"),
    [
        ({"counts": np.ones(1, np.float32)}, 1, r"no entries"),
        ({"in_sum2": np.ones(4, np.float32)}, 1, r"x has no counts"),
        ({"in_sum2": np.ones(4, np.float16), "counts": np.ones(1, np.float32)}, 1, r"of type 1"),
        ({"in_sum2": np.ones(4, np.float32), "counts": np.ones(1, np.int32)}, 1, r"of type 26"),
        ({"in_sum2": np.ones(5, np.float32), "counts": np.ones(2, np.float32)}, 1, r"2 counts of"),
        (
            {"in_sum2": np.ones(4, np.float32), "counts": np.array([np.nan], np.float32)},
            1,
            r"x.counts that are not finite",
        ),
        (
            {"in_sum2": np.ones(4, np.float32), "counts": np.array([-1], np.float32)},
            1,
            r"x.counts that are not finite, or below 0",
        ),
        (
            {"in_sum2": np.full(4, np.inf, np.float32), "counts": np.ones(1, np.float32)},
            1,
            r"values of x are not finite",
        ),
        (
            {"in_sum2": np.ones(4, np.float32), "counts": np.ones(1, np.float32)},
            "two",
            r"imatrix.chunk_count 'two'; choose a whole number",
        ),
    ],
)
def test_tensors_of_other_types_and_shapes(tmp_path, tensors, chunks, message):
    path = tmp_path / "matrix.gguf"
    writer = gguf.GGUFWriter(path, "imatrix")
    kind = gguf.GGUFValueType.STRING if isinstance(chunks, str) else gguf.GGUFValueType.UINT32
    writer.add_key_value("imatrix.chunk_count", chunks, kind)
    for name, values in tensors.items():
        writer.add_tensor(f"x.{name}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(Refusal, match=message):
        read_imatrix(path)


def test_levels_say_whether_they_need_one(tmp_path):
    for level in LEVELS.values():
        if level.needs_imatrix:
            with pytest.raises(ValueError, match=f"{level.name} needs an importance matrix"):
                build(Order(resolve("reference:policy"), [level], tmp_path / "none"))
    assert not (tmp_path / "none").exists()
