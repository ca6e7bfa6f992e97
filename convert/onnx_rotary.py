"""What positions do in an ONNX graph: tables of rotations, and a scale of the query."""

from __future__ import annotations

import numpy as np

from convert.checkpoint import Checkpoint
from convert.onnx_graph import Graph
from convert.onnx_rope import frequencies
from convert.rope import temperature

POSITIONS = 1 << 15  # rows of the rotary tables at least: a shared cache holds many texts


def positions(checkpoint: Checkpoint) -> int:
    """Rows of the rotary tables: how many tokens, of all texts together, a cache may hold."""
    return max(POSITIONS, checkpoint.shape.context)


def rotary_tables(graph: Graph, checkpoint: Checkpoint) -> None:
    """Tables of cosines and sines, (positions, head_dim / 2), that onnxruntime computes at load."""
    speeds, factor = frequencies(checkpoint)
    count = float(positions(checkpoint))
    bounds = [graph.constant(f"bound.{n}", np.float32(x)) for n, x in enumerate((0, count, 1))]
    axis = graph.constant("axis", np.array([1], np.int64))
    column = graph.add("Unsqueeze", [graph.add("Range", bounds, "range"), axis], "positions")
    angles = graph.add("Mul", [column, graph.constant("frequencies", speeds)], "angles")
    scale = graph.constant("rotary_factor", np.float32(factor))
    for kind in ("Cos", "Sin"):
        scaled = graph.add("Mul", [graph.add(kind, [angles], f"{kind}/plain"), scale], kind)
        graph.cast(scaled, kind.lower())


def query_scale(graph: Graph, checkpoint: Checkpoint) -> str | None:
    """What queries are multiplied by, (B, S, 1), where they grow with their position."""
    found = temperature(checkpoint)
    if found is None:
        return None
    beta, length = (np.float32(x) for x in found)
    add, one = graph.add, graph.constant("scale.one", np.float32(1))
    place = graph.cast("position_ids", "scale/position", "float32")
    times = add("Div", [place, graph.constant("scale.length", length)], "scale/times")
    grown = add("Add", [add("Floor", [times], "scale/floor"), one], "scale/grown")
    log = add(
        "Mul", [add("Log", [grown], "scale/log"), graph.constant("scale.beta", beta)], "scale/beta"
    )
    axis = graph.constant("scale.axis", np.array([2], np.int64))
    column = add("Unsqueeze", [add("Add", [log, one], "scale/rows"), axis], "scale/column")
    return graph.cast(column, "query_scale")
