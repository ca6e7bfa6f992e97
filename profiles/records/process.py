"""What a configuration's process ran: its models, where they ran, how long they took to load."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from convert.artifact import Shape
from convert.files import write_json
from profiles.stored import read_stored
from runtime.engine import Engine


@dataclass(frozen=True, slots=True)
class Model:
    """One model as it was opened."""

    name: str  # of its file
    source: str
    format: str
    level: str
    device: str
    shape: Shape
    size_bytes: int  # on disk
    bits_per_weight: float


@dataclass(frozen=True, slots=True)
class Process:
    """One process; the peaks grow with the questions and over resumed runs."""

    policy: Model
    reward: Model | None
    load_s: float
    peak_rss_bytes: int = 0
    peak_vram_bytes: int | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write whole or not at all."""
        write_json(path, asdict(self))


def model_of(engine: Engine) -> Model:
    """What an open engine runs."""
    artifact = engine.artifact
    return Model(
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


def read_process(path: Path) -> Process:
    """The inverse of `Process.write`.

    Raises:
        Refusal: if the file holds none; names it.
    """
    return read_stored(Process, path, "the description of a process", least=0)


def process_path(records: Path) -> Path:
    """Where the process of a file of records is described."""
    return records.with_suffix(".process.json")
