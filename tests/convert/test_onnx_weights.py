"""Blocks of integers, against onnxruntime's kernel and against what rounding may lose."""

from __future__ import annotations

import io

import numpy as np
import pytest

from convert.onnx_weights import WeightFile, dequantize, quantize

ort = pytest.importorskip("onnxruntime")
CASES = [
    (bits, block, symmetric)
    for bits in (8, 4)
    for block in (16, 32, 128)
    for symmetric in (True, False)
]


def _weights(rows: int = 24, columns: int = 200) -> np.ndarray:  # type: ignore[type-arg]
    values = np.random.default_rng(0).standard_t(4, (rows, columns)).astype(np.float32)
    values[3] = 0
    values[4, :] = np.abs(values[4]) + 1  # of one sign
    return values


@pytest.mark.parametrize(("bits", "block", "symmetric"), CASES)
def test_rounding_loses_half_a_step(bits: int, block: int, symmetric: bool) -> None:
    weights = _weights()
    blocks = quantize(weights, bits, block, symmetric=symmetric)
    values = dequantize(blocks, bits, weights.shape[1])
    steps = np.abs(np.repeat(blocks.scales.astype(np.float32), block, axis=1))[:, :200]
    off = np.abs(values - weights) / np.where(steps == 0, 1, steps)
    # a scale is rounded to float16, and the end opposite to the largest weight is one step short
    assert np.quantile(off, 0.99) <= 0.505
    assert off.max() < 1.1
    assert not values[3].any()


@pytest.mark.parametrize(("bits", "block", "symmetric"), CASES)
def test_the_kernel_multiplies_with_what_we_stored(bits: int, block: int, symmetric: bool) -> None:
    from onnx import TensorProto, helper, numpy_helper

    weights = _weights()
    n, k = weights.shape
    blocks = quantize(weights, bits, block, symmetric=symmetric)
    stored = {"B": blocks.packed, "scales": blocks.scales.astype(np.float32)}
    if blocks.zeros is not None:
        stored["zeros"] = blocks.zeros
    node = helper.make_node(
        "MatMulNBits",
        ["A", *stored],
        ["Y"],
        domain="com.microsoft",
        N=n,
        K=k,
        bits=bits,
        block_size=block,
    )
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("A", TensorProto.FLOAT, [None, k])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, n])],
        [numpy_helper.from_array(values, name) for name, values in stored.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"A": np.eye(k, dtype=np.float32)})
    assert np.abs(product.T - dequantize(blocks, bits, k)).max() < 1e-4


def test_asymmetric_blocks_fit_weights_of_one_sign_better() -> None:
    weights = _weights()[4:5]
    errors = [
        np.abs(dequantize(quantize(weights, 4, 32, symmetric=s), 4, 200) - weights).mean()
        for s in (True, False)
    ]
    assert errors[1] < errors[0]


def test_a_weight_file_says_where_tensors_lie() -> None:
    file = io.BytesIO()
    weights = WeightFile(file)
    first, second = np.arange(6, dtype=np.float32), np.ones((2, 2), np.float16)
    weights.add("first", (2, 3), [first[:3], first[3:]])
    weights.add("second", (2, 2), [second])
    stored = weights.tensors["second"]
    assert (stored.offset % 4096, stored.length, stored.dtype) == (0, 8, np.float16)
    assert file.getvalue()[: weights.tensors["first"].length] == first.tobytes()
    assert file.getvalue()[stored.offset :] == second.tobytes()
