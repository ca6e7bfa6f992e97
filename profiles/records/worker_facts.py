"""What a configuration's process ran: its models, where they ran, how long they took to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
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
    policy_card_bytes: int | None = None  # foretold, every layer on a card; None: no GGUF
    reward_card_bytes: int | None = None

    def write(self, path: Path) -> None:
        """Write whole or not at all."""
        write_json(path, asdict(self))


def joined(processes: Sequence[WorkerFacts]) -> WorkerFacts:
    """Several processes of one configuration as one: the highest peaks, the work of all."""
    first = processes[0]
    video = [p.peak_vram_bytes for p in processes if p.peak_vram_bytes is not None]
    devices = dict.fromkeys(process.policy.device for process in processes)
    return replace(
        first,
        policy=replace(first.policy, device="; ".join(devices)),
        load_s=max(process.load_s for process in processes),
        peak_rss_bytes=max(process.peak_rss_bytes for process in processes),
        peak_vram_bytes=max(video, default=None),
        together_s=sum(process.together_s for process in processes),
        together_questions=sum(process.together_questions for process in processes),
        together_tokens=sum(process.together_tokens for process in processes),
    )


def read_worker_facts(path: Path) -> WorkerFacts:
    """The inverse of `WorkerFacts.write`.

    Raises:
        Refusal: if the file holds none; names it.
    """
    return read_stored(WorkerFacts, path, "the description of a process", least=0)


def worker_facts_path(records: Path) -> Path:
    """Where the process of a file of records is described."""
    return records.with_suffix(".process.json")
