"""Which tensors of a checkpoint become which weights of an ONNX graph, and their way there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.architectures import ARCHITECTURES
from convert.artifact import ThoughtProtocol
from convert.checkpoint import Checkpoint
from convert.mapping import tensor_map
from convert.onnx_levels import OnnxLevel
from convert.onnx_weights import Floats, WeightFile, quantize
from convert.refusal import Refusal
from convert.stream import F16_LIMIT, ExceedsFloat16
from convert.to_gguf import own_rows

Progress = Callable[[str], None]  # is told every weight written


@dataclass(frozen=True, slots=True)
class Linear:
    """A projection (rows, columns) whose rows stand in one or more tensors of the checkpoint."""

    name: str
    sources: tuple[str, ...]  # without `.weight` and `.bias`
    sizes: tuple[int, ...]  # rows of each source
    columns: int

    @property
    def rows(self) -> int:
        return sum(self.sizes)


def base(checkpoint: Checkpoint) -> str:
    """What stands before the names of the decoder's tensors."""
    return "" if "embed_tokens.weight" in checkpoint.tensors else "model."


def layer_linears(checkpoint: Checkpoint, layer: int) -> dict[str, Linear]:
    """The projections of a layer by short name; query, key and value are one."""
    s, here = checkpoint.shape, f"{base(checkpoint)}layers.{layer}."
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    attention, feed = f"{here}self_attn.", f"{here}mlp."
    heads = tuple(f"{attention}{x}_proj" for x in "qkv")
    return {
        "qkv": Linear(f"layers.{layer}.qkv", heads, (q, kv, kv), s.hidden),
        "o": Linear(f"layers.{layer}.o", (f"{attention}o_proj",), (s.hidden,), q),
        "gate": Linear(f"layers.{layer}.gate", (f"{feed}gate_proj",), (s.feed_forward,), s.hidden),
        "up": Linear(f"layers.{layer}.up", (f"{feed}up_proj",), (s.feed_forward,), s.hidden),
        "down": Linear(f"layers.{layer}.down", (f"{feed}down_proj",), (s.hidden,), s.feed_forward),
    }


def head_linear(checkpoint: Checkpoint) -> Linear | None:
    """The output projection; None where a head of its own reads the hidden states."""
    s = checkpoint.shape
    if checkpoint.tied:
        return Linear("embed", (f"{base(checkpoint)}embed_tokens",), (s.vocab,), s.hidden)
    if "lm_head.weight" in checkpoint.tensors:
        return Linear("head", ("lm_head",), (s.vocab,), s.hidden)
    return None


def weight_count(checkpoint: Checkpoint) -> int:
    """How many weights a model has; tied ones count once."""
    return sum(math.prod(mapped.shape) for mapped in tensor_map(checkpoint))


def step_count(checkpoint: Checkpoint) -> int:
    """How often `write_weights` tells of progress."""
    vectors = 4 if ARCHITECTURES[checkpoint.architecture].head_norms else 2
    own_head = head_linear(checkpoint) is not None and not checkpoint.tied
    return checkpoint.shape.layers * (vectors + 5) + 2 + own_head


def write_weights(
    checkpoint: Checkpoint,
    thought: ThoughtProtocol | None,
    level: OnnxLevel,
    file: WeightFile,
    progress: Progress,
) -> None:
    """Store every weight at its level, 64 MiB of a quantized tensor in memory at a time.

    Raises:
        Refusal: for missing, misshapen or non-finite tensors, or values beyond float16.
    """
    if level.quantized and checkpoint.shape.hidden % level.head.block:
        raise Refusal(
            f"hidden size {checkpoint.shape.hidden} is no multiple of {level.head.block}, the "
            f"block of {level.name}'s embeddings; choose fp16 or fp32"
        )
    tensor_map(checkpoint)  # all are there, in their shapes, and no other stays behind
    prefix = base(checkpoint)
    writer = _Writer(checkpoint, own_rows(checkpoint, thought), file, progress)
    shape = checkpoint.shape
    embed = Linear("embed", (f"{prefix}embed_tokens",), (shape.vocab,), shape.hidden)
    writer.table(embed, level.head)
    for layer in range(shape.layers):
        here = f"layers.{layer}."
        writer.vector(f"{here}input_norm", f"{prefix}{here}input_layernorm")
        writer.vector(f"{here}post_norm", f"{prefix}{here}post_attention_layernorm")
        if ARCHITECTURES[checkpoint.architecture].head_norms:
            for norm in ("q_norm", "k_norm"):
                writer.vector(f"{here}{norm}", f"{prefix}{here}self_attn.{norm}")
        for linear in layer_linears(checkpoint, layer).values():
            writer.projection(linear, level)
    writer.vector("norm", f"{prefix}norm")
    head = head_linear(checkpoint)
    if head is not None and not checkpoint.tied:
        writer.table(head, level.head)


class _Writer:
    """Tensors on their way from a checkpoint to a weight file."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        own_rows: dict[int, Any],  # of the embedding matrix
        file: WeightFile,
        progress: Progress,
    ) -> None:
        self._tensors, self._file, self._progress = checkpoint.tensors, file, progress
        self._own_rows = own_rows

    def vector(self, name: str, source: str) -> None:
        values = self._tensors[f"{source}.weight"].float32()
        self._file.add(name, values.shape, [values])
        self._progress(name)

    def table(self, linear: Linear, level: OnnxLevel) -> None:
        """Rows that are looked up, or multiplied with as they stand."""
        if level.quantized:
            self._quantized(linear, level)
        else:
            shape = (linear.rows, linear.columns)
            self._file.add(linear.name, shape, self._floats(linear, level))
        self._progress(linear.name)

    def projection(self, linear: Linear, level: OnnxLevel) -> None:
        if level.quantized:
            self._quantized(linear, level)
        else:  # a matrix product reads its weights transposed
            shape = (linear.columns, linear.rows)
            whole = np.empty(shape, np.float32 if level.weight_bits == 32 else np.float16)
            at = 0
            for block in self._floats(linear, level):
                whole[:, at : at + len(block)] = block.T
                at += len(block)
            self._file.add(linear.name, shape, [whole])
        self._bias(linear)
        self._progress(linear.name)

    def _rows(self, linear: Linear) -> Iterator[Floats]:
        own = self._own_rows if linear.name == "embed" else {}
        for source in linear.sources:
            for part, block in self._tensors[f"{source}.weight"].blocks():
                for i, row in own.items():
                    if part.start <= i < part.stop:
                        block[i - part.start] = row
                yield block

    def _floats(self, linear: Linear, level: OnnxLevel) -> Iterator[npt.NDArray[Any]]:
        for block in self._rows(linear):
            if level.weight_bits == 32:
                yield block
                continue
            if max(block.max(), -block.min()) >= F16_LIMIT:
                raise ExceedsFloat16(
                    f"a weight of {linear.sources[0]} exceeds float16; choose fp32, int8 or int4"
                )
            yield block.astype(np.float16)

    def _quantized(self, linear: Linear, level: OnnxLevel) -> None:
        scales, zeros = [], []

        def packed() -> Iterator[npt.NDArray[np.uint8]]:
            for block in self._rows(linear):
                found = quantize(block, level.weight_bits, level.block, symmetric=level.symmetric)
                scales.append(found.scales)
                if found.zeros is not None:
                    zeros.append(found.zeros)
                yield found.packed

        count = -(-linear.columns // level.block)
        width = level.block * level.weight_bits // 8
        self._file.add(f"{linear.name}.codes", (linear.rows, count, width), packed())
        self._file.add(f"{linear.name}.scales", (linear.rows, count), scales)
        if zeros:
            self._file.add(f"{linear.name}.zeros", (linear.rows, zeros[0].shape[1]), zeros)

    def _bias(self, linear: Linear) -> None:
        found = [self._tensors.get(f"{source}.bias") for source in linear.sources]
        if any(found):
            parts = [
                np.zeros(size, np.float32) if bias is None else bias.float32()
                for bias, size in zip(found, linear.sizes, strict=True)
            ]
            self._file.add(f"{linear.name}.bias", (linear.rows,), parts)
