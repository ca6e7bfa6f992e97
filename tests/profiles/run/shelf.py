"""Models that only have names, and note what was converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.artifact import Artifact, RewardProtocol, Shape, ThoughtProtocol
from profiles.lineup import ModelSources

SHAPE = Shape(1, 1, 1, 1, 1, 1, 1, 1)
SCORES = RewardProtocol("value", "\n")


class Shelf:
    """Makes empty model files, and notes what was converted."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.converted: list[tuple[str, tuple[str, ...]]] = []

    def models(self) -> ModelSources:
        return ModelSources(self.describe, self.checkpoint, self.convert)

    def describe(self, path: Path, protocol: RewardProtocol | None = None) -> Artifact:
        form: Any = "gguf" if path.suffix == ".gguf" else "torch"
        level = path.stem.split("-")[-1] if form == "gguf" else "bf16"
        policy = Artifact(path, form, level, "policy", "mistral", SHAPE, 1, 4.0, path.name)
        own = protocol or (SCORES if "reward" in path.name else None)
        return policy if own is None else replace(policy, role="reward", reward=own)

    def checkpoint(self, source: str) -> Path:
        folder = self.root / source.replace(":", "_")
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_text(source)
        return folder

    def convert(
        self, source: str, levels: Sequence[str], protocol: RewardProtocol | None = None
    ) -> list[Artifact]:
        self.converted.append((source, tuple(levels)))
        files = [self.file(f"{source.split(':')[-1]}-{level}") for level in levels]
        return [self.describe(file, protocol) for file in files]

    def file(self, name: str) -> Path:
        path = self.root / f"{name}.gguf"
        path.write_text(name)
        return path


THOUGHT = ThoughtProtocol(6, 7)


class ThinkingShelf(Shelf):
    """Everything called thinker can think."""

    def describe(self, path: Path, protocol: RewardProtocol | None = None) -> Artifact:
        found = super().describe(path, protocol)
        return replace(found, thought=THOUGHT) if "thinker" in path.name else found
