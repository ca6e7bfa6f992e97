"""Which tensor of a checkpoint becomes which tensor of a GGUF, and in what shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.architectures import ARCHITECTURES
from convert.artifact import Shape
from convert.checkpoint import Checkpoint
from convert.heads import REWARD_HEADS
from convert.refusal import Refusal
from convert.thoughts import THOUGHT_TENSORS

Floats = npt.NDArray[np.float32]
BESIDE = (*REWARD_HEADS, *THOUGHT_TENSORS)  # has no place in a GGUF


@dataclass(frozen=True, slots=True)
class Mapped:
    """A tensor to write: where its values come from, and whether it may be quantized."""

    name: str
    source: str
    shape: tuple[int, ...]
    full: bool = False  # norms and vectors stay float32
    arrange: Callable[[Any], Any] = lambda values: values  # puts rows in another order

    @property
    def columns(self) -> int:
        return self.shape[-1] if len(self.shape) > 1 else 1

    @property
    def rows(self) -> int:
        return math.prod(self.shape) // self.columns


def permute(heads: int) -> Callable[[Any], Any]:
    """From rotate-half order to the interleaved order that llama.cpp's rope expects."""

    def arrange(rows: Any) -> Any:
        halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
        return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)

    return arrange


def tensor_map(checkpoint: Checkpoint) -> list[Mapped]:
    """All tensors of the GGUF, in the order they are written.

    Raises:
        Refusal: for a tensor that is missing, has another shape, or that nothing would read.
    """
    shape, names = checkpoint.shape, checkpoint.tensors
    base = "" if "embed_tokens.weight" in names else "model."
    mapped = [
        Mapped("token_embd.weight", f"{base}embed_tokens.weight", (shape.vocab, shape.hidden)),
        *(m for layer in range(shape.layers) for m in _layer(checkpoint, base, layer)),
        Mapped("output_norm.weight", f"{base}norm.weight", (shape.hidden,), full=True),
    ]
    if "lm_head.weight" in names and not checkpoint.tied:
        mapped.append(Mapped("output.weight", "lm_head.weight", (shape.vocab, shape.hidden)))
    elif not checkpoint.tied and not _headless(checkpoint):
        raise Refusal(f"{checkpoint.folder} lacks tensor lm_head.weight")
    _check(checkpoint, mapped)
    return mapped


def _headless(checkpoint: Checkpoint) -> bool:
    """Whether a head of its own reads the hidden states, so that no logits are needed."""
    return any(name.startswith(REWARD_HEADS) for name in checkpoint.tensors)


def _layer(checkpoint: Checkpoint, base: str, layer: int) -> list[Mapped]:
    s: Shape = checkpoint.shape
    here, there = f"{base}layers.{layer}.", f"blk.{layer}."
    family = ARCHITECTURES[checkpoint.architecture]
    q = permute(s.heads) if family.pairs else lambda rows: rows
    k = permute(s.kv_heads) if family.pairs else lambda rows: rows
    q_rows, k_rows = s.heads * s.head_dim, s.kv_heads * s.head_dim
    projections = [
        Mapped("attn_q", "self_attn.q_proj", (q_rows, s.hidden), arrange=q),
        Mapped("attn_k", "self_attn.k_proj", (k_rows, s.hidden), arrange=k),
        Mapped("attn_v", "self_attn.v_proj", (k_rows, s.hidden)),
        Mapped("attn_output", "self_attn.o_proj", (s.hidden, q_rows)),
        Mapped("ffn_gate", "mlp.gate_proj", (s.feed_forward, s.hidden)),
        Mapped("ffn_up", "mlp.up_proj", (s.feed_forward, s.hidden)),
        Mapped("ffn_down", "mlp.down_proj", (s.hidden, s.feed_forward)),
    ]
    norms = [
        ("attn_norm", "input_layernorm", s.hidden),
        ("ffn_norm", "post_attention_layernorm", s.hidden),
    ]
    if family.head_norms:
        norms += [(f"attn_{x}_norm", f"self_attn.{x}_norm", s.head_dim) for x in "qk"]
    found = [
        Mapped(f"{there}{name}.weight", f"{here}{source}.weight", (size,), full=True)
        for name, source, size in norms
    ]
    for p in projections:
        name, source = f"{there}{p.name}", f"{here}{p.source}"
        found.append(Mapped(f"{name}.weight", f"{source}.weight", p.shape, arrange=p.arrange))
        if f"{source}.bias" in checkpoint.tensors:
            rows = p.shape[:1]
            found.append(Mapped(f"{name}.bias", f"{source}.bias", rows, True, p.arrange))
    return found


def _check(checkpoint: Checkpoint, mapped: list[Mapped]) -> None:
    """Every tensor that is needed is there, in its shape, and no other stays behind unseen."""
    names, folder = checkpoint.tensors, checkpoint.folder
    for m in mapped:
        if m.source not in names:
            raise Refusal(f"{folder} lacks tensor {m.source}")
        if names[m.source].shape != m.shape:
            found = list(names[m.source].shape)
            raise Refusal(
                f"tensor {m.source} has shape {found}, expected {list(m.shape)} by config.json"
            )
    read = {m.source for m in mapped} | {"lm_head.weight"}
    extra = [
        name
        for name in names
        if name not in read
        and not name.startswith(BESIDE)
        and not name.endswith("rotary_emb.inv_freq")
    ]
    if extra:
        raise Refusal(
            f"{folder} holds tensor {extra[0]}, which a {checkpoint.architecture} model "
            f"has no place for ({len(extra)} such tensors)"
        )
