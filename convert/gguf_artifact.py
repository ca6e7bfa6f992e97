"""What a GGUF file says of itself: ours, or anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from convert.artifact import (
    Artifact,
    PromptFormat,
    RewardKind,
    RewardProtocol,
    Role,
    Shape,
    ThoughtProtocol,
)
from convert.gguf_header import Header, read_header
from convert.levels import level_of_ftype
from convert.refusal import Refusal


def artifact_from_gguf(path: Path) -> Artifact:
    """Describe a GGUF from its header, with or without `starbase.*` keys.

    Raises:
        Refusal: if it is no GGUF, was cut short, or is not a decoder that can be opened.
    """
    header = read_header(path)
    values = header.values
    architecture = str(values.get("general.architecture", ""))
    role = cast("Role", values.get("starbase.role", "policy"))
    weights = sum(tensor.elements for tensor in header.tensors)
    return Artifact(
        path=path,
        format="gguf",
        level=level_of_ftype(int(values.get("general.file_type", -1))),
        role=role,
        architecture=str(values.get("starbase.architecture", architecture)),
        shape=_shape(header, architecture),
        size_bytes=path.stat().st_size,
        bits_per_weight=8 * sum(t.size_bytes for t in header.tensors) / max(weights, 1),
        source=str(values.get("starbase.source", values.get("general.name", path.name))),
        revision=values.get("starbase.revision"),
        prompt=_prompt(values),
        reward=_reward(values) if role == "reward" else None,
        thought=_thought(values) if role == "thinker" else None,
        heads=values.get("starbase.heads"),
    )


def _shape(header: Header, architecture: str) -> Shape:
    values = header.values

    def size(key: str) -> int:
        found = values.get(f"{architecture}.{key}")
        if found is None:
            raise Refusal(f"{header.path} has no {architecture}.{key}: not a language model")
        return int(found[0] if isinstance(found, list) else found)

    def count(key: str, default: int) -> int:
        return size(key) if f"{architecture}.{key}" in values else default

    hidden, heads = size("embedding_length"), size("attention.head_count")
    tokens = values.get("tokenizer.ggml.tokens", 0)
    return Shape(
        layers=size("block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=count("attention.head_count_kv", heads),
        head_dim=count("attention.key_length", hidden // heads),
        feed_forward=size("feed_forward_length"),
        vocab=tokens if isinstance(tokens, int) else len(tokens),
        context=size("context_length"),
    )


def _prompt(values: dict[str, Any]) -> PromptFormat | None:
    found = _own(values, "prompt", ("template", "step_stop", "answer_marker"))
    return PromptFormat(**found) if found else None


def _reward(values: dict[str, Any]) -> RewardProtocol | None:
    names = ("step_tag", "template", "join", "good_id", "bad_id", "positive_index", "aggregation")
    found = _own(values, "reward", names)
    kind = values.get("starbase.reward.kind")
    return RewardProtocol(cast("RewardKind", kind), **found) if kind else None


def _thought(values: dict[str, Any]) -> ThoughtProtocol | None:
    found = _own(values, "thought", ("start_id", "end_id", "n_ahead", "embedding"))
    return ThoughtProtocol(**found) if {"start_id", "end_id"} <= found.keys() else None


def _own(values: dict[str, Any], group: str, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: values.get(f"starbase.{group}.{name}") for name in names}
    return {name: value for name, value in found.items() if value is not None}
