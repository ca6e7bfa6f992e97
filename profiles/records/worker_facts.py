"""What a configuration's process ran: its models, where they ran, how long they took to load."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from convert.artifact import PromptFormat
from convert.files import write_json
from profiles.opened_model import OpenedModel
from profiles.stored_json import read_stored


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One process; the peaks grow with the questions and over resumed runs."""

    policy: OpenedModel
    reward: OpenedModel | None
    load_s: float
    peak_rss_bytes: int = 0
    peak_vram_bytes: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    prompt: PromptFormat | None = None  # how the policy was asked
    together_s: float = 0.0  # of whole cohorts of questions at once
    together_questions: int = 0
    together_tokens: int = 0  # decoded by the policy meanwhile

    def write(self, path: Path) -> None:
        """Write whole or not at all."""
        write_json(path, asdict(self))


def read_worker_facts(path: Path) -> WorkerFacts:
    """The inverse of `WorkerFacts.write`.

    Raises:
        Refusal: if the file holds none; names it.
    """
    return read_stored(WorkerFacts, path, "the description of a process", least=0)


def worker_facts_path(records: Path) -> Path:
    """Where the process of a file of records is described."""
    return records.with_suffix(".process.json")
