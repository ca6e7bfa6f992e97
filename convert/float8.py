"""Weights of eight bits with scales beside them, as floats: they lose nothing by it.

Source: transformers' `fp8` (`weight_scale_inv`, of blocks or of a tensor) and compressed-tensors'
float-quantized (`weight_scale`, of a row or of a tensor). Both multiply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal
from convert.tensor import FLOAT8, Array, Tensor

SCALES = ("_scale_inv", "_scale")  # behind the name of a weight
UNREAD = (".activation_scale", ".input_scale", ".k_scale", ".v_scale")  # of what a weight meets
BLOCK = (128, 128)

Floats = npt.NDArray[np.float32]


def widened(tensors: Mapping[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors, those of eight bits multiplied by their scales when they are read.

    Raises:
        Refusal: for scales that fit neither rows nor blocks of a weight.
    """
    if all(tensor.dtype not in FLOAT8 for tensor in tensors.values()):
        return dict(tensors)
    block = _block(config)
    found, read = {}, set()
    for name, tensor in tensors.items():
        scale = next((f"{name}{end}" for end in SCALES if f"{name}{end}" in tensors), None)
        if tensor.dtype in FLOAT8 and scale is not None:
            read.add(scale)
            found[name] = _scaled(tensor, tensors[scale], block)
        else:
            found[name] = tensor
    return {n: t for n, t in found.items() if n not in read and not n.endswith(UNREAD)}


def _block(config: dict[str, Any]) -> tuple[int, int]:
    stated = config.get("quantization_config")
    block = stated.get("weight_block_size") if isinstance(stated, dict) else None
    if isinstance(block, list) and [type(side) for side in block] == [int, int] and min(block) > 0:
        return block[0], block[1]
    return BLOCK


def _scaled(tensor: Tensor, scale: Tensor, block: tuple[int, int]) -> Tensor:
    if len(tensor.shape) != 2:
        raise Refusal(f"tensor {tensor.name} of eight bits has {len(tensor.shape)} sides, no rows")
    rows, columns = tensor.shape
    blocks = (-(-rows // block[0]), -(-columns // block[1]))
    if scale.elements != 1 and scale.shape not in ((rows,), (rows, 1), blocks):
        raise Refusal(
            f"tensor {scale.name} has shape {list(scale.shape)}, expected one scale, {rows}, or "
            f"{list(blocks)} for blocks of {list(block)}"
        )

    def read() -> Array:
        values, factors = tensor.float32(), scale.float32()
        if scale.elements == 1:
            return values * factors.reshape(())
        if scale.shape != blocks:
            return values * factors.reshape(rows, 1)
        for row in range(blocks[0]):
            part = slice(row * block[0], (row + 1) * block[0])
            values[part] *= np.repeat(factors[row], block[1])[:columns]
        return values

    return Tensor(tensor.name, tensor.shape, "float32", read)
