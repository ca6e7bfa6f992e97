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
    "attention_factor": "add_rope_scaling_yarn_attn_factor",
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


def rope_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """Rope settings, wherever this version of transformers put them."""
    return rope_table(checkpoint.folder / "config.json", checkpoint.config)
