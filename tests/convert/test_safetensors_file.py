"""Files of weights whose headers or index do not hold: refused before a byte is read."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from convert.refusal import Refusal
from convert.tensors import open_tensors


def _write(path, header, size):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(size))


def _entry(start, end, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": _entry(0, 8), "b": _entry(4, 12)}, r"'b' bytes from 4, the one before it ends at 8"),
        ({"a": _entry(0, 8), "b": _entry(0, 8)}, r"'b' bytes from 0, the one before it ends at 8"),
        ({"a": _entry(0, 8), "b": _entry(12, 20)}, r"'b' bytes from 12, the one before it ends"),
        ({"a": _entry(4, 12)}, r"'a' bytes from 4, the one before it ends at 0"),
        ({"a": _entry(0, 1 << 40)}, r"is cut short: \d+ bytes, its header names 1099"),
        ({"a": _entry(-8, 0)}, r"damaged safetensors header: tensor 'a'"),
        ({"a": _entry(8, 0)}, r"damaged safetensors header"),
        ({"a": _entry(0.0, 8.0)}, r"damaged safetensors header"),
        ({"a": _entry("0", "8")}, r"damaged safetensors header"),
        ({"a": _entry(0, 8, [-2])}, r"damaged safetensors header"),
        ({"a": _entry(0, 8, [2.0])}, r"damaged safetensors header"),
        ({"a": _entry(0, 8, [1 << 62])}, r"damaged safetensors header"),
        ({"a": _entry(0, 8, [True, 2])}, r"damaged safetensors header"),
        ({"a": _entry(0, 8, dtype=["F32"])}, r"damaged safetensors header"),
        ({"a": _entry(0, 8) | {"shape": "2"}}, r"damaged safetensors header"),
        ({"a": [0, 8]}, r"tensor 'a' is no table"),
        ({"a": _entry(0, 8, [3])}, r"gives tensor a 8 bytes for shape \[3\]"),
        ({}, r"files of weights without a tensor"),
        ([], r"its header is no table"),
        (b"[" * 100_000, r"is not a safetensors file"),
        (b'{"\xff": 1}', r"is not a safetensors file"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{}}', r"damaged"),
    ],
)
def test_a_header_that_does_not_hold(tmp_path, header, message):
    ends = (
        [e["data_offsets"][1] for e in header.values() if isinstance(e, dict)]
        if header and (isinstance(header, dict))
        else []
    )
    sizes = [end for end in ends if isinstance(end, int) and end < 100]
    _write(tmp_path / "model.safetensors", header, max(sizes, default=0))
    with pytest.raises(Refusal, match=message):
        open_tensors(tmp_path)


def test_a_type_that_no_model_here_has(tmp_path):
    _write(tmp_path / "model.safetensors", {"a": _entry(0, 8, [8], "I8")}, 8)
    with pytest.raises(Refusal, match=r"tensor a has dtype I8; expected float32"):
        open_tensors(tmp_path)["a"].float32()


def test_a_header_longer_than_the_format_allows(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes((1 << 27).to_bytes(8, "little"))
    os.truncate(path, 1 << 30)  # a hole
    with pytest.raises(Refusal, match=r"is not a safetensors file, or was cut short"):
        open_tensors(tmp_path)


def test_the_empty_and_the_scalar(tmp_path):
    header = {"none": _entry(0, 0, [0, 4]), "one": _entry(0, 4, [])}
    _write(tmp_path / "model.safetensors", header, 4)
    found = open_tensors(tmp_path)
    assert found["none"].float32().shape == (0, 4)
    assert found["one"].float32().shape == ()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "../x.safetensors"}}, r"weight_map.a '../x.safetensors'; choose the"),
        ({"weight_map": {"a": "/etc/passwd"}}, r"'/etc/passwd'; choose the name of a file beside"),
        ({"weight_map": {"a": "sub/x.safetensors"}}, r"choose the name of a file beside it"),
        ({"weight_map": {"a": "..\\x"}}, r"choose the name of a file beside it"),
        ({"weight_map": {"a": ".."}}, r"choose the name of a file beside it"),
        ({"weight_map": {"a": ""}}, r"choose the name of a file beside it"),
        ({"weight_map": {"a": 3}}, r"weight_map.a 3; choose a text"),
        ({"weight_map": ["a"]}, r"is not an index of weights"),
        ({"weight_map": {}}, r"is not an index of weights"),
        ({}, r"is not an index of weights"),
        ([], r"index.json is not a table"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_an_index_that_leads_elsewhere(tmp_path, name, index, message):
    (tmp_path / f"{name}.index.json").write_text(json.dumps(index))
    with pytest.raises(Refusal, match=message):
        open_tensors(tmp_path)


def test_one_name_in_two_shards(tmp_path):
    for k in (1, 2):
        save_file({"a": np.ones(2, np.float32)}, tmp_path / f"model-{k}.safetensors")
    with pytest.raises(Refusal, match=r"model-2.safetensors holds tensor a, which another"):
        open_tensors(tmp_path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([torch.ones(2)], r"pytorch_model.bin holds a list; expected tensors by name"),
        ({"step": 3}, r"holds 'step', which is no tensor"),
        ({3: torch.ones(2)}, r"holds 3, which is no tensor"),
        ({"a": torch.ones(2, dtype=torch.int8)}, r"tensor a has dtype int8; expected dense"),
        ({"a": torch.eye(2).to_sparse()}, r"tensor a has dtype float32; expected dense"),
    ],
)
def test_what_a_pickle_may_hold(tmp_path, state, message):
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(Refusal, match=message):
        open_tensors(tmp_path)["a"].float32()
