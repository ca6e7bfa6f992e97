"""What an engine takes under its options: placement, records and forecasts ask here."""

from __future__ import annotations

from convert.artifact import Artifact, Shape
from convert.gguf_header import Header, read_header
from convert.mixes import TensorShape
from runtime.footprint import Footprint, Load, footprint
from runtime.gguf_context import BATCH_TOKENS
from runtime.options import EngineOptions


def engine_footprint(header: Header, shape: Shape, options: EngineOptions) -> Footprint:
    """What a GGUF takes with full batches: the same forecast that `profile plan` makes."""
    load = Load(
        cells=options.context * (options.max_branches if options.streams else 1),
        branches=options.max_branches,
        tokens=BATCH_TOKENS,
        rows=options.max_branches,
        kv_type=options.kv_type,
        batch=options.batch,
    )
    tensors = [TensorShape(tensor.name, tensor.shape) for tensor in header.tensors]
    types = {tensor.name: tensor.type for tensor in header.tensors}
    return footprint(tensors, types, shape, load)


def whole_card_bytes(artifact: Artifact, options: EngineOptions) -> int | None:
    """Of a card with every layer on it, wherever the model runs; None for what is no GGUF."""
    if artifact.format != "gguf":
        return None
    found = engine_footprint(read_header(artifact.path), artifact.shape, options)
    return found.card_bytes(len(found.layers) + 1)
