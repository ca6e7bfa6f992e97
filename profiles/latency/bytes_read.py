"""Memory traffic of counted work, at least: weights and KV cache read, from shapes alone."""

from __future__ import annotations

from runtime.engine import Engine, Usage


def weight_bytes(engine: Engine) -> float:
    """Bytes of weights that one call multiplies: all but an embedding table that is only looked up.

    Estimated: every tensor is taken at the mean bits of a weight in memory.
    """
    shape = engine.artifact.shape
    return (shape.linear_parameters + shape.head_parameters) * engine.weight_bits / 8


def kv_bytes_per_token(engine: Engine) -> float:
    """Bytes of keys and values of one token over all layers."""
    return engine.artifact.shape.kv_bytes_per_token(engine.kv_value_bytes)


def decode_bytes(engine: Engine, usage: Usage) -> float:
    """Read by decode calls: the weights once a call, and each branch's keys and values once.

    A prefix that branches share is counted for each: kernels read it again, though from a cache
    where it fits.
    """
    return usage.calls * weight_bytes(engine) + usage.context_tokens * kv_bytes_per_token(engine)


def prefill_bytes(engine: Engine, usage: Usage) -> float:
    """Read by prompts that are one call each: the weights once, and each token's KV once."""
    return usage.calls * weight_bytes(engine) + usage.tokens * kv_bytes_per_token(engine)
