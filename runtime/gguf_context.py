"""How contexts of llama.cpp are opened here: types of the KV cache, batches, rounding."""

from __future__ import annotations

from runtime.options import KvType

KV_TYPES: dict[KvType, tuple[int, float]] = {  # ggml type and bytes per value
    "f16": (1, 2.0),
    "q8_0": (8, 34 / 32),
    "q4_0": (2, 18 / 32),
}
BATCH_TOKENS = 2048  # of one decode call
CONTEXT_STEP = 256  # llama.cpp rounds the cache up to this
