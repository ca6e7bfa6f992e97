"""What an open engine runs, as rows and records keep it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.artifact import Shape
from runtime.engine import Engine


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """One model as it was opened."""

    name: str  # of its file
    source: str
    format: str
    level: str
    device: str
    shape: Shape
    size_bytes: int  # on disk
    bits_per_weight: float


def opened_model(engine: Engine) -> OpenedModel:
    """What an open engine runs."""
    artifact = engine.artifact
    return OpenedModel(
        name=artifact.path.name,
        source=Path(artifact.source).name
        if Path(artifact.source).is_absolute()
        else artifact.source,
        format=artifact.format,
        level=artifact.level,
        device=engine.device,
        shape=artifact.shape,
        size_bytes=artifact.size_bytes,
        bits_per_weight=artifact.bits_per_weight,
    )
