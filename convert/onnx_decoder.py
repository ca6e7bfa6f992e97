"""A decoder as an ONNX graph.

Inputs, all of dynamic size: `input_ids` and `position_ids` (B, S); `attention_bias` (B or 1, 1, S,
T), added to the attention scores of T old and new tokens; `lengths` (B,), old and new tokens of
each row; `rows` (R,), which of the B * S tokens are wanted; `past_key_values.N.key` and `.value`
(B, heads, P, size). Outputs: `logits` (R, V), unless a head of its own reads the hidden states;
`hidden_states` (R, D), after the final norm; `present.N.key` and `.value`.

Row b's past lies in its first places. With more than one row, new tokens come one at a time, or the
past is empty: a rule of onnxruntime's GroupQueryAttention on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from convert.architectures import ARCHITECTURES
from convert.artifact import Shape
from convert.checkpoint import Checkpoint
from convert.onnx_graph import CONTRIB, TYPES, Graph
from convert.onnx_levels import OnnxLevel
from convert.onnx_rotary import query_scale, rotary_tables
from convert.onnx_tensors import Linear, head_linear, layer_linears

IR_VERSION, OPSET = 10, 21


def decoder(
    graph: Graph, checkpoint: Checkpoint, level: OnnxLevel, facts: Mapping[str, str]
) -> onnx.ModelProto:
    """The model of a checkpoint whose weights are stored; `facts` go into its metadata."""
    shape = checkpoint.shape
    layers = _Layers(graph, checkpoint, level)
    _lengths(graph)
    rotary_tables(graph, checkpoint)
    stream = _embed(graph, level)
    normed = graph.add(
        "SimplifiedLayerNormalization",
        [stream, graph.floating("layers.0.input_norm")],
        "layers.0/in",
        axis=-1,
        epsilon=layers.epsilon,
    )
    for n in range(shape.layers):
        linears = layer_linears(checkpoint, n)
        mixed = layers.attention(n, linears, normed)
        normed, stream = layers.norm(f"layers.{n}.post_norm", stream, mixed)
        fed = layers.feed_forward(n, linears, normed)
        following = f"layers.{n + 1}.input_norm" if n + 1 < shape.layers else "norm"
        normed, stream = layers.norm(following, stream, fed)
    outputs = _outputs(graph, layers, head_linear(checkpoint), normed)
    return _model(graph, shape, outputs, facts)


class _Layers:
    """The parts that layers are made of."""

    def __init__(self, graph: Graph, checkpoint: Checkpoint, level: OnnxLevel) -> None:
        self.graph, self.level, self.shape = graph, level, checkpoint.shape
        self.head_norms = ARCHITECTURES[checkpoint.architecture].head_norms
        self.query_scale = query_scale(graph, checkpoint)
        self.epsilon = float(checkpoint.config.get("rms_norm_eps", 1e-6))

    def norm(self, name: str, stream: str, added: str) -> tuple[str, str]:
        """The residual stream with something added: normalized, and as it is."""
        normed, _, _, total = self.graph.add_many(
            "SkipSimplifiedLayerNormalization",
            [stream, added, self.graph.floating(name)],
            [f"{name}/out", "", "", f"{name}/stream"],
            CONTRIB,
            epsilon=self.epsilon,
        )
        return normed, total

    def attention(self, n: int, linears: Mapping[str, Linear], normed: str) -> str:
        past = f"past_key_values.{n}."
        states, _, _ = self.graph.add_many(
            "GroupQueryAttention",
            [
                *self.heads(n, self.linear(linears["qkv"], normed)),
                f"{past}key",
                f"{past}value",
                "last_index",
                "total_length",
                "cos",
                "sin",
                "position_ids",
                "attention_bias" if self.graph.floats == "float32" else "attention_bias/cast",
            ],
            [f"layers.{n}/attention", f"present.{n}.key", f"present.{n}.value"],
            CONTRIB,
            num_heads=self.shape.heads,
            kv_num_heads=self.shape.kv_heads,
            do_rotary=1,
        )
        return self.linear(linears["o"], states)

    def heads(self, n: int, packed: str) -> Sequence[str]:
        """Query, key and value: in one where nothing happens to a part of them before they turn."""
        if not self.head_norms and self.query_scale is None:
            return packed, "", ""
        s, here = self.shape, f"layers.{n}/"
        kv = s.kv_heads * s.head_dim
        sizes = self.graph.constant("qkv.sizes", np.array([s.heads * s.head_dim, kv, kv], np.int64))
        outputs = [f"{here}{x}" for x in "qkv"]
        query, key, value = self.graph.add_many("Split", [packed, sizes], outputs, axis=-1)
        if self.head_norms:
            query = self.head_norm(f"layers.{n}.q_norm", query, s.heads)
            key = self.head_norm(f"layers.{n}.k_norm", key, s.kv_heads)
        if self.query_scale is not None:
            query = self.graph.add("Mul", [query, self.query_scale], f"{here}query")
        return query, key, value

    def head_norm(self, name: str, states: str, heads: int) -> str:
        """Each head of (B, S, heads * size) normalized."""
        split = np.array([0, 0, heads, self.shape.head_dim], np.int64)  # 0: as it was
        apart = [states, self.graph.constant(f"{heads}.apart", split)]
        normed = self.graph.add(
            "SimplifiedLayerNormalization",
            [self.graph.add("Reshape", apart, f"{name}/apart"), self.graph.floating(name)],
            f"{name}/normed",
            axis=-1,
            epsilon=self.epsilon,
        )
        joined = self.graph.constant("joined", np.array([0, 0, -1], np.int64))
        return self.graph.add("Reshape", [normed, joined], f"{name}/out")

    def feed_forward(self, n: int, linears: Mapping[str, Linear], normed: str) -> str:
        """SwiGLU: a product of two projections, one of them through SiLU."""
        add, here = self.graph.add, f"layers.{n}/"
        gate, up = (self.linear(linears[x], normed) for x in ("gate", "up"))
        silu = add("Mul", [gate, add("Sigmoid", [gate], f"{here}sigmoid")], f"{here}silu")
        return self.linear(linears["down"], add("Mul", [silu, up], f"{here}swiglu"))

    def linear(self, linear: Linear, states: str) -> str:
        """A projection, with its bias where it has one."""
        graph, name = self.graph, linear.name
        biased = graph.has(f"{name}.bias")
        out = f"{name}/product" if biased else f"{name}/out"
        if self.level.quantized:
            product = self.quantized(linear, self.level, states, out)
        else:
            product = graph.add("MatMul", [states, graph.floating(name)], out)
        if not biased:
            return product
        return graph.add("Add", [product, graph.floating(f"{name}.bias")], f"{name}/out")

    def quantized(self, linear: Linear, level: OnnxLevel, states: str, out: str) -> str:
        graph, name = self.graph, linear.name
        inputs = [states, graph.stored(f"{name}.codes"), graph.floating(f"{name}.scales")]
        if not level.symmetric:
            inputs.append(graph.stored(f"{name}.zeros"))
        return graph.add(
            "MatMulNBits",
            inputs,
            out,
            CONTRIB,
            N=linear.rows,
            K=linear.columns,
            bits=level.weight_bits,
            block_size=level.block,
            accuracy_level=4 if graph.floats == "float32" else 0,  # 4: integers times integers
        )


def _lengths(graph: Graph) -> None:
    """What attention asks for: the index of each row's last token, and how many tokens it reads."""
    one = graph.constant("one", np.array([1], np.int64))
    graph.cast(graph.add("Sub", ["lengths", one], "last"), "last_index", "int32")
    graph.cast(graph.add("Shape", ["attention_bias"], "total", start=3), "total_length", "int32")
    if graph.floats != "float32":
        graph.cast("attention_bias", "attention_bias/cast")


def _embed(graph: Graph, level: OnnxLevel) -> str:
    if not level.quantized:
        return graph.cast(graph.add("Gather", [graph.stored("embed"), "input_ids"], "found"), "x")
    shape = graph.constant("embed.shape", np.array([0, 0, -1], np.int64))  # 0: as it was
    scales = graph.add("Reshape", [graph.floating("embed.scales"), shape], "embed.scales/blocks")
    found = graph.add(
        "GatherBlockQuantized",
        [graph.stored("embed.codes"), "input_ids", scales],
        "found",
        CONTRIB,
        gather_axis=0,
        quantize_axis=2,
        bits=8,
        block_size=level.head.block,
    )  # (B, S, blocks, block)
    return graph.add("Reshape", [found, shape], "x")


def _outputs(graph: Graph, layers: _Layers, head: Linear | None, normed: str) -> list[str]:
    """Hidden states and logits of the wanted rows, in float32."""
    flat = graph.constant("flat", np.array([-1, layers.shape.hidden], np.int64))
    tokens = graph.add("Reshape", [normed, flat], "tokens")
    hidden = graph.add("Gather", [tokens, "rows"], "wanted")
    graph.cast(hidden, "hidden_states", "float32")
    if head is None:
        return ["hidden_states"]
    if layers.level.quantized:
        product = layers.quantized(head, layers.level.head, hidden, "scores")
    else:
        product = graph.add("Gemm", [hidden, graph.floating(head.name)], "scores", transB=1)
    graph.cast(product, "logits", "float32")
    return ["logits", "hidden_states"]


def _model(
    graph: Graph, shape: Shape, outputs: list[str], facts: Mapping[str, str]
) -> onnx.ModelProto:
    def value(name: str, kind: str, *dims: Any) -> Any:
        return helper.make_tensor_value_info(name, TYPES[kind], dims)

    def cache(prefix: str, tokens: str) -> list[Any]:
        size = ("batch", shape.kv_heads, tokens, shape.head_dim)
        return [
            value(f"{prefix}.{n}.{kind}", graph.floats, *size)
            for n in range(shape.layers)
            for kind in ("key", "value")
        ]

    widths = {"logits": shape.vocab, "hidden_states": shape.hidden}
    inputs = [
        value("input_ids", "int64", "batch", "sequence"),
        value("position_ids", "int64", "batch", "sequence"),
        value("attention_bias", "float32", "bias_batch", 1, "sequence", "total"),
        value("lengths", "int64", "batch"),
        value("rows", "int64", "wanted"),
        *cache("past_key_values", "past"),
    ]
    results = [value(name, "float32", "wanted", widths[name]) for name in outputs]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "decoder",
            inputs,
            [*results, *cache("present", "present")],
            list(graph.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)],
        ir_version=IR_VERSION,
        producer_name="starbase-edge",
    )
    for key, text in facts.items():
        model.metadata_props.add(key=key, value=text)
    return model
