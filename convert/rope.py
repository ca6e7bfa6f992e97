"""Rotary position settings of a checkpoint, as a GGUF states them."""

from __future__ import annotations

import math
from typing import Any

import gguf
import numpy as np

from convert.checkpoint import Checkpoint
from convert.config_check import rope_table
from convert.refusal import Refusal

YARN_KEYS = {  # transformers' name: the writer's method
    "extrapolation_factor": "add_rope_scaling_yarn_ext_factor",
    "beta_fast": "add_rope_scaling_yarn_beta_fast",
    "beta_slow": "add_rope_scaling_yarn_beta_slow",
}


def add_rope(writer: Any, checkpoint: Checkpoint) -> None:
    """Write the frequency base and, for linear and yarn, how positions are scaled.

    Raises:
        Refusal: for a scaling that llama.cpp has no form of, or one without its factor.
    """
    rope = rope_settings(checkpoint)
    writer.add_rope_freq_base(rope["rope_theta"])
    if growth := temperature(checkpoint):
        writer.add_attn_temperature_scale(growth[0])
    kind = rope["rope_type"]
    if kind in ("default", "llama3"):
        return
    if kind not in ("linear", "yarn"):
        raise Refusal(
            f"rope scaling {kind!r} has no GGUF form here; default, linear, yarn and llama3 have"
        )
    if "factor" not in rope:
        raise Refusal(f"rope scaling {kind!r} in config.json has no factor")
    writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
    writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        original = rope.get("original_max_position_embeddings") or checkpoint.shape.context
        writer.add_rope_scaling_orig_ctx_len(original)
        for key, method in YARN_KEYS.items():
            if rope.get(key) is not None:
                getattr(writer, method)(rope[key])
        _add_attention(writer, checkpoint, rope)


def _add_attention(writer: Any, checkpoint: Checkpoint, rope: dict[str, Any]) -> None:
    """Write by how much yarn scales attention, where llama.cpp would choose otherwise."""
    choice = _magnitude(rope["factor"])
    if checkpoint.architecture == "ministral3":
        mean = rope.get("mscale_all_dim", 0.0)
        writer.add_rope_scaling_yarn_log_mul(mean)
        choice /= _magnitude(rope["factor"], mean)
    wanted = yarn_attention(rope)
    if not math.isclose(wanted, choice):
        writer.add_rope_scaling_attn_factors(wanted / choice)


def yarn_attention(rope: dict[str, Any]) -> float:
    """What yarn multiplies sine and cosine by: stated, or told from its factor and `mscale`."""
    if "attention_factor" in rope:
        return float(rope["attention_factor"])
    factor = rope["factor"]
    own, mean = rope.get("mscale"), rope.get("mscale_all_dim")
    if own and mean:
        return _magnitude(factor, own) / _magnitude(factor, mean)
    return _magnitude(factor)


def _magnitude(factor: float, scale: float = 1.0) -> float:
    """Peng et al. 2023, section 3.4."""
    return 0.1 * scale * math.log(factor) + 1 if factor > 1 else 1.0


def rope_factors(checkpoint: Checkpoint) -> Any:
    """Llama 3's divisor of every rope frequency (head_dim / 2,), or None for other models."""
    rope = rope_settings(checkpoint)
    if rope["rope_type"] != "llama3":
        return None
    size = np.float32(checkpoint.shape.head_dim)
    pairs = np.arange(0, checkpoint.shape.head_dim, 2, dtype=np.float32)
    powers = rope["rope_theta"] ** (pairs / size).astype(np.float64)  # rounded as torch rounds
    frequencies = np.float32(1) / powers.astype(np.float32)
    factor, low = rope.get("factor", 8.0), rope.get("low_freq_factor", 1.0)
    high = rope.get("high_freq_factor", 4.0)
    context = rope.get("original_max_position_embeddings", 8192)
    wavelengths = _over(2 * math.pi, frequencies)
    return np.array([_divisor(w, factor, low, high, context) for w in wavelengths], np.float32)


def _over(number: float, values: Any) -> Any:
    """`number` / `values` as torch rounds it: through the reciprocal, in float32."""
    return np.float32(1) / values * np.float32(number)


def _divisor(wavelength: Any, factor: float, low: float, high: float, context: int) -> Any:
    """1 for short waves, `factor` for long ones, in between what joins them smoothly."""
    if wavelength < context / high:
        return 1.0
    if wavelength > context / low:
        return factor
    smooth = (_over(context, wavelength) - low) / (high - low)
    return 1 / ((1 - smooth) / factor + smooth)


def temperature(checkpoint: Checkpoint) -> tuple[float, int] | None:
    """By how much queries grow each time a text is longer by so many tokens; None: they do not.

    Source: `llama_4_scaling_beta` of Ministral 3; a query at position p is multiplied by
    1 + beta * log(1 + floor(p / tokens)).
    """
    rope = rope_settings(checkpoint)
    beta = rope.get("llama_4_scaling_beta") if checkpoint.architecture == "ministral3" else None
    if not beta:
        return None
    return beta, rope.get("original_max_position_embeddings") or checkpoint.shape.context


def rope_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """Rope settings, wherever this version of transformers put them."""
    return rope_table(checkpoint.folder / "config.json", checkpoint.config)
