"""What one question gave and cost: one JSON line a question."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from convert.refusal import Refusal
from methods.candidate import Selection
from runtime.engine import Usage


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer that a selection chose; strict counts explicitly marked answers only."""

    answer: str | None = None
    answer_strict: str | None = None
    correct: bool = False
    correct_strict: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One question under one configuration. A failed one has no answer and so is wrong."""

    id: str
    question: str
    gold: str | None
    seed: int  # `solve --seed` with it repeats the answer
    verdicts: Mapping[Selection, Verdict] = field(default_factory=dict)
    policy: Usage = field(default_factory=Usage)  # tokens by kind, and seconds by kind
    reward: Usage = field(default_factory=Usage)
    latency_s: float = 0.0
    scorer_s: float = 0.0
    ttft_s: float = 0.0
    candidates: int = 0
    truncated: int = 0  # candidates that a limit cut off
    dropped: int = 0  # scored candidates that got no children
    booked_tokens: int | None = None  # by the paper's count, where it is not the visible tokens
    failed: str | None = None  # why there is no answer
    policy_kv_bytes: int = 0
    reward_kv_bytes: int = 0

    def line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"

    def verdict(self, selection: Selection) -> Verdict:
        """How a selection fared; nothing answered where the question failed."""
        return self.verdicts.get(selection, Verdict())


def read_records(path: Path) -> list[Record]:
    """The records of a file, in its order; a torn last line is left out, a missing file is empty.

    Raises:
        Refusal: if a whole line is not a record; names it.
    """
    if not path.exists():
        return []
    whole = path.read_bytes().split(b"\n")[:-1]  # what follows the last line end is torn
    records: list[Record] = []
    for number, line in enumerate(whole, 1):
        try:
            records.append(_parse(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(f"{path} line {number} is not a record: {error}") from error
    return records


def open_records(path: Path) -> IO[str]:
    """A file of records to append to, cut behind its last whole line."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    return path.open("a", encoding="utf-8")


def _parse(document: dict[str, Any]) -> Record:
    verdicts = {name: Verdict(**value) for name, value in document["verdicts"].items()}
    usages = {name: Usage(**document[name]) for name in ("policy", "reward")}
    return Record(**document | usages | {"verdicts": verdicts})
