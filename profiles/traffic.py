"""Bytes that a model's work has to read at least: an estimate from counted work and shapes."""

from __future__ import annotations

from convert.artifact import Artifact
from convert.levels import LEVELS
from runtime.engine import Engine, Usage

HALF, SINGLE = 2.0, 4.0  # bytes of a value


def weight_bytes(engine: Engine) -> float:
    """Bytes of weights that one call multiplies: all but an embedding table that is only looked up.

    Estimated: every tensor is taken at the file's mean bits per weight, of a checkpoint at the
    precision it runs in.
    """
    shape = engine.artifact.shape
    return (shape.linear_parameters + shape.head_parameters) * _bits(engine) / 8


def kv_bytes_per_token(engine: Engine) -> float:
    """Bytes of keys and values of one token over all layers."""
    return engine.artifact.shape.kv_bytes_per_token(_kv_value_bytes(engine))


def decode_bytes(engine: Engine, usage: Usage) -> float:
    """Read by decode calls: the weights once a call, and each branch's keys and values once.

    A prefix that branches share is counted for each: kernels read it again, though from a cache
    where it fits.
    """
    return usage.calls * weight_bytes(engine) + usage.context_tokens * kv_bytes_per_token(engine)


def prefill_bytes(engine: Engine, usage: Usage) -> float:
    """Read by prompts that are one call each: the weights once, and each token's KV once."""
    return usage.calls * weight_bytes(engine) + usage.tokens * kv_bytes_per_token(engine)


def _bits(engine: Engine) -> float:
    """Bits of a weight in memory: a checkpoint is converted when it is opened."""
    artifact: Artifact = engine.artifact
    if "bfloat16" in engine.device:
        return 16.0
    return LEVELS[artifact.level].bits if artifact.level == "f32" else artifact.bits_per_weight


def _kv_value_bytes(engine: Engine) -> float:
    return SINGLE if "float32" in engine.device else HALF
