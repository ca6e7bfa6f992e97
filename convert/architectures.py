"""Decoders known here: what sets each apart, and how llama.cpp names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder by its `model_type`.

    `pairs`: llama.cpp's rope turns neighbours, so that rows of query and key change places.
    `head_norms`: query and key are normalized head by head before they turn.
    """

    gguf: str
    pairs: bool
    head_norms: bool = False


ARCHITECTURES: dict[str, Architecture] = {
    "mistral": Architecture("llama", pairs=True),
    "ministral": Architecture("llama", pairs=True),
    "ministral3": Architecture("mistral3", pairs=True),
    "llama": Architecture("llama", pairs=True),
    "qwen2": Architecture("qwen2", pairs=False),
    "qwen3": Architecture("qwen3", pairs=False, head_norms=True),
}
