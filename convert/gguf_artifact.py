"""What a GGUF file says of itself: ours, or anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import gguf

from convert.artifact import Artifact, PromptFormat, RewardKind, RewardProtocol, Role, Shape
from convert.levels import level_of_ftype

MAGIC = b"GGUF"


def artifact_from_gguf(path: Path) -> Artifact:
    """Describe a GGUF from its header, with or without `starbase.*` keys.

    Raises:
        ValueError: if it is no GGUF, was cut short, or is not a decoder that can be opened.
    """
    reader = open_gguf(path)
    size = path.stat().st_size
    weights = sum(int(t.n_elements) for t in reader.tensors)
    stored = sum(int(t.n_bytes) for t in reader.tensors)
    values = _Values(reader, path)
    architecture = str(values.get("general.architecture", ""))
    role = cast("Role", values.get("starbase.role", "policy"))
    return Artifact(
        path=path,
        format="gguf",
        level=level_of_ftype(int(values.get("general.file_type", -1))),
        role=role,
        architecture=str(values.get("starbase.architecture", architecture)),
        shape=_shape(values, architecture),
        size_bytes=size,
        bits_per_weight=8 * stored / max(weights, 1),
        source=str(values.get("starbase.source", values.get("general.name", path.name))),
        revision=values.get("starbase.revision"),
        prompt=_prompt(values),
        reward=_reward(values) if role == "reward" else None,
        heads=values.get("starbase.heads"),
    )


def open_gguf(path: Path) -> Any:
    """A reader whose tensors all lie inside the file.

    Raises:
        ValueError: if the file is no GGUF, or was cut short.
    """
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise ValueError(f"{path} is not a GGUF file")
    try:
        reader = gguf.GGUFReader(path)
    except Exception as error:  # the reader trusts its input: any type can come out of a torn file
        raise ValueError(f"{path} is cut short or damaged: {error}") from error
    end = max((int(t.data_offset) + int(t.n_bytes) for t in reader.tensors), default=0)
    if end > path.stat().st_size or not reader.tensors:
        raise ValueError(f"{path} is cut short: {path.stat().st_size} bytes of at least {end}")
    return reader


class _Values:
    """Metadata by key, with errors that name the file."""

    def __init__(self, reader: Any, path: Path) -> None:
        self._fields, self._path = reader.fields, path

    def get(self, key: str, default: Any = None) -> Any:
        found = self._fields.get(key)
        return default if found is None else found.contents()

    def need(self, key: str) -> Any:
        found = self.get(key)
        if found is None:
            raise ValueError(f"{self._path} has no {key}: not a language model")
        return found

    def count(self, key: str) -> int:
        """The length of an array, without reading it."""
        found = self._fields.get(key)
        return 0 if found is None else len(found.data)


def _shape(values: _Values, architecture: str) -> Shape:
    def size(key: str) -> int:
        found = values.need(f"{architecture}.{key}")
        return int(found[0] if isinstance(found, list) else found)

    hidden, heads = size("embedding_length"), size("attention.head_count")
    kv_heads = values.get(f"{architecture}.attention.head_count_kv", heads)
    return Shape(
        layers=size("block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=int(kv_heads[0] if isinstance(kv_heads, list) else kv_heads),
        head_dim=int(values.get(f"{architecture}.attention.key_length", hidden // heads)),
        feed_forward=size("feed_forward_length"),
        vocab=values.count("tokenizer.ggml.tokens"),
        context=size("context_length"),
    )


def _prompt(values: _Values) -> PromptFormat | None:
    found = _own(values, "prompt", ("template", "step_stop", "answer_marker"))
    return PromptFormat(**found) if found else None


def _reward(values: _Values) -> RewardProtocol | None:
    names = ("step_tag", "template", "join", "good_id", "bad_id", "positive_index", "aggregation")
    found = _own(values, "reward", names)
    kind = values.get("starbase.reward.kind")
    return RewardProtocol(cast("RewardKind", kind), **found) if kind else None


def _own(values: _Values, group: str, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: values.get(f"starbase.{group}.{name}") for name in names}
    return {name: value for name, value in found.items() if value is not None}
