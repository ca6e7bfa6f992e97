"""The sizes of a GGUF's decoder, whatever its architecture."""

from __future__ import annotations

import math
from typing import Any

from convert.artifact import Shape
from convert.gguf_check import PLAIN, count, per_layer
from convert.gguf_header import Entry, Header
from convert.gguf_vocabulary import TOKENS

Layers = list[int]


def shape_of(header: Header) -> Shape:
    """Sizes out of a checked header; the largest where layers differ, and what all take together.

    Weights multiplied for a token are counted tensor by tensor where the architecture is not one
    whose tensors are known here: of a layer's experts, those that are used.
    """
    values = header.values
    architecture = str(values["general.architecture"])

    def each(key: str, default: Any = 0) -> Layers:
        found = [int(v) for v in per_layer(values.get(f"{architecture}.{key}", default))]
        return found if len(found) == layers else found * layers

    layers = int(values[f"{architecture}.block_count"])
    hidden = int(values[f"{architecture}.embedding_length"])
    heads = each("attention.head_count")
    kv_heads = each("attention.head_count_kv", heads)
    feed_forward = each("feed_forward_length")
    head_dim = max(each("attention.key_length", hidden // max(1, *heads)))
    cached = sum(kv_heads) * (head_dim + max(each("attention.value_length", head_dim)))
    even = len({*heads}) == len({*kv_heads}) == len({*feed_forward}) == 1
    plain = architecture in PLAIN and even and not values.get(f"{architecture}.expert_count")
    return Shape(
        layers=layers,
        hidden=hidden,
        heads=max(1, *heads),
        kv_heads=max(1, *kv_heads),
        head_dim=head_dim,
        feed_forward=max(feed_forward),
        vocab=count(values[TOKENS]),
        context=int(values.get(f"{architecture}.context_length", 0)),
        linear=None if plain else sum(_multiplied(t, values, architecture) for t in header.tensors),
        cached=None if cached == 2 * layers * max(1, *kv_heads) * head_dim else cached,
    )


def _multiplied(tensor: Entry, values: dict[str, Any], architecture: str) -> int:
    """How many weights of a tensor a token is multiplied with."""
    sides = len(tensor.shape)
    if not tensor.name.startswith("blk.") or sides < 2:
        return 0
    elements = math.prod(tensor.shape)
    if sides == 2:
        return elements
    experts, used = (values.get(f"{architecture}.expert_{x}count", 0) for x in ("", "used_"))
    return elements * used // experts if experts else elements
