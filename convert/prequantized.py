"""Checkpoints whose weights are no plain floats: what they are, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.refusal import Refusal
from convert.tensor import Tensor

PACKED = {  # the end of a tensor's name: who writes such
    ".qweight": "GPTQ or AWQ",
    ".absmax": "bitsandbytes",
    ".SCB": "bitsandbytes",
    ".weight_packed": "compressed-tensors",
    "_blocks": "mxfp4",
}
NAMES = {"gptq": "GPTQ", "awq": "AWQ", "bitsandbytes": "bitsandbytes", "mxfp4": "mxfp4"}
INTEGERS = ("I8", "U8", "I32", "I64", "int8", "uint8", "int32", "int64")


def check_method(folder: Path, config: dict[str, Any]) -> None:
    """Refuse what the configuration says was packed; other methods are told by their tensors."""
    stated = config.get("quantization_config")
    if isinstance(stated, dict) and stated.get("quant_method") in NAMES:
        raise _refusal(folder, config, "")


def check_floats(folder: Path, config: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that another tool has quantized, or an adapter without its model."""
    if any(".lora_A." in name or ".lora_embedding_A" in name for name in tensors):
        raise Refusal(
            f"{folder} holds a LoRA adapter beside or instead of a model; convert its base model "
            "with --adapter SOURCE"
        )
    packed = next((PACKED[end] for name in tensors for end in PACKED if name.endswith(end)), "")
    integers = any(
        tensor.dtype in INTEGERS and len(tensor.shape) > 1 for tensor in tensors.values()
    )
    if packed or integers:
        raise _refusal(folder, config, packed)


def _refusal(folder: Path, config: dict[str, Any], packed: str) -> Refusal:
    return Refusal(
        f"{folder} is quantized already ({_method(config, packed)}), which cannot be undone; "
        "convert the full-precision model that it was made from"
    )


def _method(config: dict[str, Any], packed: str) -> str:
    """Who quantized it, and to how many bits, as far as it is told."""
    stated = config.get("quantization_config")
    stated = stated if isinstance(stated, dict) else {}
    method = str(stated.get("quant_method", packed or "integers"))
    bits = stated.get("bits") or stated.get("w_bit")
    bits = bits or (4 if stated.get("load_in_4bit") else 8 if stated.get("load_in_8bit") else None)
    return NAMES.get(method, method) + (f", {bits} bits" if bits else "")
