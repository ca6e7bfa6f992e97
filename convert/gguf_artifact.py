"""What a GGUF file says of itself: ours, or anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from convert import bounds
from convert.artifact import Artifact, PromptFormat, RewardProtocol, Role, Shape, ThoughtProtocol
from convert.gguf_check import check_header, count, per_layer
from convert.gguf_header import read_header
from convert.gguf_vocabulary import TOKENS
from convert.levels import level_of_ftype
from convert.protocols import check_numbers, judged, role_of

T = TypeVar("T")
D = TypeVar("D", str, None)
GROUPS: dict[type, str] = {
    PromptFormat: "prompt",
    RewardProtocol: "reward",
    ThoughtProtocol: "thought",
}
FILE_TYPES = 1 << 16


def artifact_from_gguf(path: Path) -> Artifact:
    """Describe a GGUF from its header, with or without `starbase.*` keys.

    Raises:
        Refusal: if it is no GGUF, was cut short, or is not a decoder that can be opened.
    """
    header = read_header(path)
    check_header(header)
    values = header.values
    architecture = str(values["general.architecture"])
    shape = _shape(values, architecture)
    role = role_of(path, "starbase.role", values.get("starbase.role", "policy"))
    weights = sum(tensor.elements for tensor in header.tensors)
    found = Artifact(
        path=path,
        format="gguf",
        level=level_of_ftype(_file_type(path, values)),
        role=role,
        architecture=_text(path, values, "starbase.architecture", architecture),
        shape=shape,
        size_bytes=path.stat().st_size,
        bits_per_weight=8 * sum(t.size_bytes for t in header.tensors) / max(weights, 1),
        source=_text(path, values, "starbase.source", str(values.get("general.name", path.name))),
        revision=_text(path, values, "starbase.revision", None),
        heads=_heads(path, values),
        **_protocols(path, values, role),
    )
    check_numbers(path, found.reward, found.thought, shape.vocab)
    return found


def _protocols(path: Path, values: dict[str, Any], role: Role) -> dict[str, Any]:
    """How the model is asked, scores and thinks, as the arguments of an artifact."""
    thought = _own(path, values, ThoughtProtocol) if role == "thinker" else None
    return {
        "prompt": _own(path, values, PromptFormat),
        "reward": _own(path, values, RewardProtocol) if role == "reward" else None,
        "thought": thought,
    }


def _own(path: Path, values: dict[str, Any], kind: type[T]) -> T | None:
    """The protocol that keys of ours state; None where there are none."""
    prefix = f"starbase.{GROUPS[kind]}."
    own = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
    return judged(kind, path, prefix.rstrip("."), own) if own else None


def _shape(values: dict[str, Any], architecture: str) -> Shape:
    def size(key: str, default: int = 0) -> int:
        return int(max(per_layer(values.get(f"{architecture}.{key}", default))))

    hidden, heads = size("embedding_length"), size("attention.head_count")
    return Shape(
        layers=size("block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=size("attention.head_count_kv", heads),
        head_dim=size("attention.key_length", hidden // heads),
        feed_forward=size("feed_forward_length"),
        vocab=count(values[TOKENS]),
        context=size("context_length"),
    )


def _file_type(path: Path, values: dict[str, Any]) -> int:
    key = "general.file_type"
    return bounds.integer(path, key, values[key], (0, FILE_TYPES)) if key in values else -1


def _heads(path: Path, values: dict[str, Any]) -> str | None:
    key = "starbase.heads"
    return bounds.file_name(path, key, values[key]) if key in values else None


def _text(path: Path, values: dict[str, Any], key: str, default: D) -> str | D:
    return bounds.text(path, key, values[key]) if key in values else default
