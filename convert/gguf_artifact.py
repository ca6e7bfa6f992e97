"""What a GGUF file says of itself: ours, or anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from convert import bounds
from convert.artifact import Artifact, PromptFormat, Role
from convert.gguf_check import check_header
from convert.gguf_header import read_header
from convert.gguf_level import level_of
from convert.gguf_shape import shape_of
from convert.own_keys import PREFIX, PROTOCOLS, stated
from convert.prompt_presets import prompt_preset
from convert.protocols import check_numbers, judged, role_of

D = TypeVar("D", str, None)


def artifact_from_gguf(path: Path) -> Artifact:
    """Describe a GGUF from its header, with or without `starbase.*` keys.

    Raises:
        Refusal: if it is no GGUF, was cut short, or is not a decoder that can be opened.
    """
    header = read_header(path)
    check_header(header)
    values = header.values
    architecture = str(values["general.architecture"])
    shape = shape_of(header)
    role = role_of(path, "starbase.role", values.get("starbase.role", "policy"))
    weights = sum(tensor.elements for tensor in header.tensors)
    found = Artifact(
        path=path,
        format="gguf",
        level=level_of(header),
        role=role,
        architecture=_text(path, values, "starbase.architecture", architecture),
        shape=shape,
        size_bytes=header.size_bytes,
        bits_per_weight=8 * sum(t.size_bytes for t in header.tensors) / max(weights, 1),
        source=_text(path, values, "starbase.source", str(values.get("general.name", path.name))),
        revision=_text(path, values, "starbase.revision", None),
        heads=_heads(path, values),
        **_protocols(path, values, role, shape.context),
    )
    check_numbers(path, found.reward, found.thought, shape.vocab)
    return found


def _protocols(path: Path, values: dict[str, Any], role: Role, context: int) -> dict[str, Any]:
    """How the model is asked, scores and thinks, as the arguments of an artifact."""
    return {
        "prompt": _own(path, values, "prompt") or _preset(path, values, role, context),
        "reward": _own(path, values, "reward") if role == "reward" else None,
        "thought": _own(path, values, "thought") if role == "thinker" else None,
    }


def _preset(path: Path, values: dict[str, Any], role: Role, context: int) -> PromptFormat | None:
    """How a policy is asked whose file does not say so."""
    if role == "reward":
        return None
    chat = bool(values.get("tokenizer.chat_template"))
    return prompt_preset(path.name, chat=chat, thinks=role == "thinker", context=context)


def _own(path: Path, values: dict[str, Any], name: str) -> Any:
    """The protocol that keys of ours state; None where there are none."""
    own = stated(values, name)
    return judged(PROTOCOLS[name], path, PREFIX + name, own) if own else None


def _heads(path: Path, values: dict[str, Any]) -> str | None:
    key = "starbase.heads"
    return bounds.file_name(path, key, values[key]) if key in values else None


def _text(path: Path, values: dict[str, Any], key: str, default: D) -> str | D:
    return bounds.text(path, key, values[key]) if key in values else default
