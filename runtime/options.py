"""How to open a model, the same for every backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Device = Literal["auto", "cuda", "vulkan", "cpu"]
KvType = Literal["f16", "q8_0", "q4_0"]
Thinking = Literal["off", "on", "gated"]
GateBy = Literal["probability", "entropy"]

MAX_BRANCHES = 256  # compiled into llama.cpp
BATCHES = (512, 256, 128, 64)  # tokens that llama.cpp computes at a time; the first is its own


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of `open_engine`."""

    device: Device = "auto"
    context: int = 4096  # tokens of KV cache, shared by all branches
    max_branches: int = 64
    streams: bool = False  # `context` for each branch alone: fast where branches share nothing
    kv_type: KvType = "f16"
    gpu_layers: int | None = None  # None: as many as fit
    batch: int = BATCHES[0]  # tokens computed at a time: fewer take less memory
    threads: int | None = None  # None: all physical cores
    think: Thinking = "off"  # before each token, as Quiet-STaR does, or only where unsure
    gate_by: GateBy = "probability"
    gate: float = 0.9  # think where the top probability is below, or the entropy above, in nats
    thought_temperature: float = 1.0
