"""What a GGUF says of its model, judged before llama.cpp sees it: that ends the process instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from convert import bounds
from convert.architectures import ARCHITECTURES
from convert.bounds import Limits
from convert.gguf_header import Entry, Header
from convert.gguf_stream import Length
from convert.gguf_vocabulary import SCORES, TOKENS
from convert.refusal import Refusal

SIZES: dict[str, Limits] = {  # keys behind the architecture's name
    "block_count": bounds.LAYERS,
    "embedding_length": bounds.HIDDEN,
    "attention.head_count": bounds.HEADS,
    "attention.head_count_kv": bounds.HEADS,
    "attention.key_length": bounds.HEAD_DIM,
    "attention.value_length": bounds.HEAD_DIM,
    "feed_forward_length": bounds.FEED_FORWARD,
    "vocab_size": bounds.VOCAB,
    "context_length": bounds.CONTEXT,
    "rope.scaling.original_context_length": bounds.CONTEXT,
    "attention.sliding_window": (0, bounds.CONTEXT[1]),
    "expert_count": (0, 512),
    "expert_used_count": (0, 512),
}
ROTARY = "rope.dimension_count"
NEEDED = ("embedding_length", "block_count")
NEEDED_PLAIN = ("attention.head_count", "feed_forward_length", "context_length")
PER_LAYER = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")
CONSTANTS = {
    "attention.layer_norm_rms_epsilon": bounds.EPSILON,
    "attention.layer_norm_epsilon": bounds.EPSILON,
    "rope.freq_base": bounds.ROPE_BASE,
    "rope.scaling.attn_factor": bounds.FACTOR,
    "rope.scaling.yarn_attn_factor": bounds.FACTOR,
    "rope.scaling.yarn_beta_fast": bounds.FACTOR,
    "rope.scaling.yarn_beta_slow": bounds.FACTOR,
}
FACTORS = ("rope.scaling.factor", "rope.scale_linear")  # 0 is none
SCALINGS = ("none", "linear", "yarn", "longrope")
TEXTS = (
    "general.architecture",
    "general.name",
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.chat_template",
)
OPENERS = ("bos", "eos", "eot", "eom")  # tokens that are put in or end a text; others go unread
ANY_ID = (0, (1 << 32) - 1)
BLOCK = re.compile(r"blk\.(\d{1,6})\.")
PLAIN = {family.gguf for family in ARCHITECTURES.values()}  # whose tensors are known here


def check_header(header: Header) -> None:
    """Refuse a header that llama.cpp would hang, end or answer nonsense on; names key and value.

    Raises:
        Refusal: as said.
    """
    path, values = header.path, header.values
    for key in TEXTS:
        if key in values:
            bounds.text(path, key, values[key])
    architecture = values.get("general.architecture", "")
    for key in NEEDED + (NEEDED_PLAIN if architecture in PLAIN else ()):
        if f"{architecture}.{key}" not in values:
            raise Refusal(f"{path} has no {architecture}.{key}: not a language model")
    for key, value in values.items():
        bounds.finite(path, key, value)
    _sizes(path, values, architecture)
    _constants(path, values, architecture)
    _vocabulary(path, values)
    _tensors(header, architecture)


def per_layer(value: Any) -> list[Any]:
    """A size that may differ by layer, as a list of one or all."""
    return value if isinstance(value, list) else [value]


def _sizes(path: Path, values: dict[str, Any], architecture: str) -> None:
    for name, (least, most) in SIZES.items():
        key = f"{architecture}.{name}"
        many = name in PER_LAYER and isinstance(values.get(key), list)
        layers = values[f"{architecture}.block_count"]
        if many and (not any(values[key]) or len(values[key]) != layers):
            raise Refusal(
                f"{path} gives {key} {bounds.shown(values[key])}; choose one number above 0, or "
                f"{layers}, one for each layer"
            )
        # a layer without attention has no heads, and there are decoders without any
        least = 0 if many or (name in PER_LAYER and architecture not in PLAIN) else least
        for value in per_layer(values[key]) if many else [values.get(key, least)]:
            bounds.integer(path, key, _plain(value), (least, most))
    _heads(path, values, architecture)
    experts, used = (values.get(f"{architecture}.{k}", 0) for k in SIZES if k.startswith("expert"))
    if used > experts or (experts and not used):
        raise Refusal(
            f"{path} gives {architecture}.expert_count {experts} and expert_used_count {used}; "
            "choose one expert or more of them, or none"
        )


def _heads(path: Path, values: dict[str, Any], architecture: str) -> None:
    """Heads share their keys evenly, and turn no more than they have."""
    heads = per_layer(values.get(f"{architecture}.attention.head_count", 0))
    kv_heads = per_layer(values.get(f"{architecture}.attention.head_count_kv", heads))
    layers = max(len(heads), len(kv_heads))
    spread = [side if len(side) == layers else side * layers for side in (heads, kv_heads)]
    for one, other in zip(*spread, strict=True):
        if one and other:
            bounds.divides(path, one, other)
    length, turned = (f"{architecture}.{k}" for k in ("attention.key_length", ROTARY))
    hidden = values[f"{architecture}.embedding_length"]
    stated = values.get(length, hidden // max(1, *heads))
    head_dim = bounds.even(path, length, bounds.integer(path, length, stated, bounds.HEAD_DIM))
    if turned in values:
        bounds.even(path, turned, bounds.integer(path, turned, values[turned], (0, head_dim)))


def _constants(path: Path, values: dict[str, Any], architecture: str) -> None:
    for name, limits in CONSTANTS.items():
        key = f"{architecture}.{name}"
        if key in values:
            bounds.number(path, key, _plain(values[key]), limits)
    for name in FACTORS:
        key = f"{architecture}.{name}"
        if values.get(key, 0) != 0:
            bounds.number(path, key, _plain(values[key]), bounds.FACTOR)
    scaling = values.get(f"{architecture}.rope.scaling.type", "none")
    if scaling not in SCALINGS:
        raise Refusal(
            f"{path} gives {architecture}.rope.scaling.type {bounds.shown(scaling)}; choose "
            f"{', '.join(SCALINGS)}"
        )


def _vocabulary(path: Path, values: dict[str, Any]) -> None:
    tokens = count(values.get(TOKENS, []))
    if not tokens:
        raise Refusal(f"{path} holds no {TOKENS}: it cannot read a text; convert the model again")
    for key in (SCORES, "tokenizer.ggml.token_type"):
        if key in values and count(values[key]) != tokens:
            raise Refusal(
                f"{path} holds {tokens} tokens and {count(values[key])} of {key}; convert the "
                "model again"
            )
    for key, value in values.items():
        if key.startswith("tokenizer.ggml.") and key.endswith("_token_id"):
            used = key.split(".")[-1].split("_")[0] in OPENERS
            bounds.integer(path, key, _plain(value), (0, tokens - 1) if used else ANY_ID)


def _tensors(header: Header, architecture: str) -> None:
    """Every layer that is declared has tensors, no other has, and they have its sizes."""
    path, values = header.path, header.values
    layers = values[f"{architecture}.block_count"]
    found = {int(match[1]) for t in header.tensors if (match := BLOCK.match(t.name))}
    known = architecture in PLAIN  # others have layers of other names, or none of their own
    if (found != set(range(layers))) if known else (max(found, default=0) >= layers):
        raise Refusal(
            f"{path} gives {architecture}.block_count {layers} and holds tensors of "
            f"{len(found)} layers; download it again"
        )
    shapes = _shapes(values, architecture)
    for tensor in header.tensors:
        name = BLOCK.sub("", tensor.name)
        if name in shapes:
            _has_shape(path, tensor, shapes[name])


def _has_shape(path: Path, tensor: Entry, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise Refusal(
            f"{path} gives tensor {tensor.name} shape {list(tensor.shape)}, expected "
            f"{list(shape)} by its header; download it again"
        )


def _shapes(values: dict[str, Any], architecture: str) -> dict[str, tuple[int, ...]]:
    """Shapes by name without the layer: all of plain decoders, the embedding of others."""
    hidden = values[f"{architecture}.embedding_length"]
    tokens = count(values.get(TOKENS, []))
    found: dict[str, tuple[int, ...]] = {"token_embd.weight": (tokens, hidden)}
    if architecture not in PLAIN or values.get(f"{architecture}.expert_count"):
        return found
    heads = values[f"{architecture}.attention.head_count"]
    kv_heads = values.get(f"{architecture}.attention.head_count_kv", heads)
    feed_forward = values[f"{architecture}.feed_forward_length"]
    if any(isinstance(each, list) for each in (heads, kv_heads, feed_forward)):
        return found
    key = values.get(f"{architecture}.attention.key_length", hidden // heads)
    value = values.get(f"{architecture}.attention.value_length", hidden // heads)
    norms: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("output_norm", "attn_norm", "ffn_norm"), (hidden,)
    )
    projections: dict[str, tuple[int, ...]] = {
        "output": (tokens, hidden),
        "attn_q": (heads * key, hidden),
        "attn_k": (kv_heads * key, hidden),
        "attn_v": (kv_heads * value, hidden),
        "attn_output": (hidden, heads * value),
        "ffn_gate": (feed_forward, hidden),
        "ffn_up": (feed_forward, hidden),
        "ffn_down": (hidden, feed_forward),
    }
    return found | {f"{name}.weight": side for name, side in (norms | projections).items()}


def count(value: Any) -> int:
    """The length of an array in a header, whether it was kept or not."""
    return len(value) if isinstance(value, list) else int(value) if _is_length(value) else 0


def _is_length(value: Any) -> bool:
    return isinstance(value, Length)


def _plain(value: Any) -> Any:
    """A number, or what an array that was not kept looks like in an error."""
    return f"an array of {int(value)}" if _is_length(value) else value
