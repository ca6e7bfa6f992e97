"""Rotary frequencies of a checkpoint as numbers, the scalings included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.checkpoint import Checkpoint
from convert.refusal import Refusal
from convert.rope import rope_factors, rope_settings, yarn_attention

Floats = npt.NDArray[np.float32]


def frequencies(checkpoint: Checkpoint) -> tuple[Floats, float]:
    """(head_dim / 2,) radians per position, and what sine and cosine are multiplied by.

    Raises:
        Refusal: for a scaling that is not one of default, linear, llama3 and yarn.
    """
    rope = rope_settings(checkpoint)
    kind, size = rope["rope_type"], checkpoint.shape.head_dim
    powers = rope["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))
    plain = (np.float32(1) / powers.astype(np.float32)).astype(np.float32)
    if kind == "default":
        return plain, 1.0
    if kind == "llama3":
        return (plain / rope_factors(checkpoint)).astype(np.float32), 1.0
    if kind not in ("linear", "yarn"):
        raise Refusal(
            f"rope scaling {kind!r} has no ONNX form here; default, linear, yarn and llama3 have"
        )
    if "factor" not in rope:
        raise Refusal(f"rope scaling {kind!r} in config.json has no factor")
    if kind == "linear":
        return (plain / np.float32(rope["factor"])).astype(np.float32), 1.0
    return _yarn(checkpoint, rope, plain)


def _yarn(checkpoint: Checkpoint, rope: dict[str, Any], plain: Floats) -> tuple[Floats, float]:
    """Slow waves are stretched, fast ones kept, those between blended (Peng et al. 2023)."""
    size, theta, factor = checkpoint.shape.head_dim, rope["rope_theta"], float(rope["factor"])
    context = rope.get("original_max_position_embeddings") or checkpoint.shape.context

    def turning(rotations: float) -> float:
        """The index of the wave that turns so often within the original context."""
        return size * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(turning(rope.get("beta_fast") or 32)), 0)
    high = min(math.ceil(turning(rope.get("beta_slow") or 1)), size - 1)
    slow = np.clip((np.arange(size // 2) - low) / max(high - low, 0.001), 0, 1).astype(np.float32)
    blended = plain / np.float32(factor) * slow + plain * (1 - slow)
    return blended.astype(np.float32), yarn_attention(rope)
