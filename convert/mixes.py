"""Which type llama.cpp's quantizer gives each tensor at each level.

A port of `llama_tensor_get_type` (src/llama-quant.cpp of llama-cpp-python 0.3.36) for dense models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from convert.artifact import Shape
from convert.block_sizes import BLOCKS
from convert.levels import Level

F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 = 0, 1, 2, 3, 6, 7, 8
Q2_K, Q3_K, Q4_K, Q5_K, Q6_K = 10, 11, 12, 13, 14
IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS = 16, 17, 18, 19, 20, 21, 22, 23
IQ1_M, BF16, TQ1_0, TQ2_0, Q1_0, Q2_0 = 29, 30, 34, 35, 41, 42

BASE = {  # the type of most tensors
    "f32": F32,
    "f16": F16,
    "bf16": BF16,
    "q8_0": Q8_0,
    "q6_k": Q6_K,
    "q5_k_m": Q5_K,
    "q5_k_s": Q5_K,
    "q5_1": Q5_1,
    "q5_0": Q5_0,
    "q4_k_m": Q4_K,
    "q4_k_s": Q4_K,
    "q4_1": Q4_1,
    "q4_0": Q4_0,
    "iq4_nl": IQ4_NL,
    "iq4_xs": IQ4_XS,
    "q3_k_l": Q3_K,
    "q3_k_m": Q3_K,
    "q3_k_s": Q3_K,
    "iq3_m": IQ3_S,
    "iq3_s": IQ3_S,
    "iq3_xs": IQ3_S,
    "iq3_xxs": IQ3_XXS,
    "q2_k": Q2_K,
    "q2_k_s": Q2_K,
    "iq2_m": IQ2_S,
    "iq2_s": IQ2_XS,
    "iq2_xs": IQ2_XS,
    "iq2_xxs": IQ2_XXS,
    "iq1_m": IQ1_M,
    "iq1_s": IQ1_S,
    "q2_0": Q2_0,
    "tq2_0": TQ2_0,
    "tq1_0": TQ1_0,
    "q1_0": Q1_0,
}
TINY = ("iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq1_s", "iq1_m")
FALLBACK = {  # for rows that 256 does not divide
    **dict.fromkeys((IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ4_XS), IQ4_NL),
    **dict.fromkeys((Q2_0, Q2_K, Q3_K, TQ1_0, TQ2_0), Q4_0),
    Q4_K: Q5_0,
    Q5_K: Q5_1,
    Q6_K: Q8_0,
}


@dataclass(frozen=True, slots=True)
class TensorShape:
    """A tensor of a model without its values: a GGUF name, and its sides, rows first."""

    name: str
    sides: tuple[int, ...]


def tensor_bytes(tensor: TensorShape, kind: int) -> int:
    """Bytes of a tensor in a ggml type."""
    weights, size = BLOCKS[kind]
    return math.prod(tensor.sides) // weights * size


def tensor_types(
    tensors: Iterable[TensorShape], level: Level, shape: Shape, *, imatrix: bool | None = None
) -> dict[str, int]:
    """The ggml type of every tensor of a model at a level, by name.

    Some types depend on whether there is an importance matrix; by default there is one only where
    the level needs it.
    """
    listed = list(tensors)
    tied = all(tensor.name != "output.weight" for tensor in listed)
    given = level.needs_imatrix if imatrix is None else imatrix
    return {t.name: _type(t, level.name, shape, tied=tied, imatrix=given) for t in listed}


def _type(tensor: TensorShape, level: str, shape: Shape, *, tied: bool, imatrix: bool) -> int:
    if len(tensor.sides) < 2 or tensor.name.endswith("_norm.weight"):
        return F32
    base = BASE[level]
    if base in (F32, F16, BF16):
        return base
    kind = _mixed(tensor, level, shape, tied=tied, imatrix=imatrix)
    if tensor.sides[-1] % BLOCKS[kind][0] == 0:
        return kind
    kind = FALLBACK.get(kind, kind)
    return kind if tensor.sides[-1] % BLOCKS[kind][0] == 0 else F16


def _mixed(tensor: TensorShape, level: str, shape: Shape, *, tied: bool, imatrix: bool) -> int:
    base = BASE[level]
    if tensor.name == "output.weight" or (tied and tensor.name == "token_embd.weight"):
        return _output(level, fits=tensor.sides[-1] % BLOCKS[base][0] == 0)
    if tensor.name == "token_embd.weight":
        return _embedding(level)
    if not tensor.name.startswith("blk."):  # of another architecture
        return base
    _, layer, part, *_ = tensor.name.split(".")
    number, layers, groups = int(layer), shape.layers, shape.heads // shape.kv_heads
    if part == "attn_v":
        kind = _value(level, number, layers, groups, imatrix=imatrix)
        large = layers == 80 and groups > 1 and level not in TINY  # 70B and 72B
        return Q5_K if large and kind in (Q3_K, Q4_K) else kind
    if part == "ffn_down":
        return _down(level, number, layers, imatrix=imatrix)
    if part == "attn_output":
        return _attention_output(level)
    if part in ("attn_q", "attn_k"):
        return {"iq3_xs": IQ3_XXS, "iq3_xxs": IQ2_S}.get(level, base)
    if part in ("ffn_gate", "ffn_up") and level == "iq3_xs":
        return IQ3_XXS if layers // 8 <= number < 7 * layers // 8 else base
    return base


def _output(level: str, *, fits: bool) -> int:
    if not fits or level == "q8_0":
        return Q8_0
    return Q5_K if level in (*TINY, "iq3_xxs") else Q6_K


def _embedding(level: str) -> int:
    special = {
        **dict.fromkeys(("iq2_xxs", "iq2_xs", "iq1_s", "iq1_m"), Q2_K),
        **dict.fromkeys(("iq2_s", "iq2_m", "iq3_xxs"), IQ3_S),
        **dict.fromkeys(("tq1_0", "tq2_0", "q2_0"), Q4_K),
    }
    return special.get(level, BASE[level])


def _value(level: str, number: int, layers: int, groups: int, *, imatrix: bool) -> int:
    base, grouped = BASE[level], groups >= 4
    if level in TINY:
        return Q4_K if grouped else IQ3_S if level in ("iq2_s", "iq2_m") else Q2_K
    if level == "q2_k":
        return Q4_K if grouped else Q3_K
    if level in ("q2_k_s", "iq3_xs", "iq3_s", "iq3_xxs"):
        ungrouped = IQ3_S if level == "iq3_xxs" and not imatrix else base
        return Q4_K if grouped else ungrouped
    if level in ("iq4_nl", "iq4_xs"):
        return Q5_K if grouped else base
    if level in ("q4_k_m", "q5_k_m"):
        return Q6_K if _more_bits(number, layers) else base
    special = {
        "iq3_m": Q4_K,
        "q3_k_m": Q5_K if number < 2 else Q4_K,
        "q3_k_l": Q5_K,
        "q4_k_s": Q5_K if number < 4 else base,
    }
    return special.get(level, base)


def _down(level: str, number: int, layers: int, *, imatrix: bool) -> int:
    base, early = BASE[level], number < layers // 8
    if level in TINY:
        return (IQ3_S if level in ("iq2_s", "iq2_m") else Q2_K) if early else base
    if level in ("q4_k_m", "q5_k_m"):
        return Q6_K if _more_bits(number, layers) else base
    special = {
        "q2_k": Q3_K,
        "q2_k_s": Q4_K if early else base,
        "q3_k_m": Q5_K if number < layers // 16 else Q4_K,
        "q3_k_l": Q5_K,
        "iq3_m": Q4_K if early else base,
        "q4_k_s": Q5_K if early else base,
        "q4_0": Q4_1 if early and imatrix else base,
        "q5_0": Q5_1 if early and imatrix else base,
        "iq3_xxs": base if imatrix else Q4_K if early else Q3_K,
        **dict.fromkeys(("iq4_nl", "iq4_xs"), Q5_K if early and not imatrix else base),
    }
    return special.get(level, base)


def _attention_output(level: str) -> int:
    special = {
        "q2_k": Q3_K,
        "iq3_xxs": IQ3_S,
        "q3_k_m": Q4_K,
        "q3_k_l": Q5_K,
        "iq3_m": Q4_K,
        **dict.fromkeys(("iq1_s", "iq1_m"), IQ2_XXS),
        **dict.fromkeys(("iq2_s", "iq2_m"), IQ3_S),
    }
    return special.get(level, BASE[level])


def _more_bits(number: int, layers: int) -> bool:
    eighth = layers // 8
    return number < eighth or number >= 7 * layers // 8 or (number - eighth) % 3 == 2
