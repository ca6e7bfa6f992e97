"""What one question gave and cost: one JSON line a question."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

from convert.files import NO_ROOM, no_room, regular
from convert.refusal import Refusal
from methods.catalog import Selection
from profiles.stored_json import parse
from runtime.engine import Usage

NEEDED = ("verdicts", "policy", "reward")  # without them a question would have cost nothing


@dataclass(frozen=True, slots=True)
class ChosenAnswer:
    """The answer that a selection chose; strict counts explicitly marked answers only."""

    answer: str | None = None
    answer_strict: str | None = None
    correct: bool = False
    correct_strict: bool = False


@dataclass(frozen=True, slots=True)
class Alone:
    """What a question took with the models to itself, where the record is of many at once."""

    latency_s: float
    scorer_s: float
    ttft_s: float
    policy: Usage
    reward: Usage
    same: bool  # whether the answers were


@dataclass(frozen=True, slots=True)
class Record:
    """One question under one configuration. A failed one has no answer and so is wrong."""

    id: str
    question: str
    gold: str | None
    seed: int  # `solve --seed` with it repeats the answer
    verdicts: Mapping[Selection, ChosenAnswer] = field(default_factory=dict)
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
    looped: int | None = None  # candidates that repeat themselves; None where it was not looked for
    traced: bool | None = None  # whether the right answer stands in what any candidate wrote
    depth: int = 0  # stages of the tree; 0 where there is none, or none was counted
    alone: Alone | None = None
    host: int | None = None  # which machine, in a run on several; they stand in run.json
    overshoot: float | None = None  # beyond the budget, as a share of it; None without one

    def line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"

    def verdict(self, selection: Selection) -> ChosenAnswer:
        """How a selection fared; nothing answered where the question failed."""
        return self.verdicts.get(selection, ChosenAnswer())


def question_seed(seed: int, problem_id: str) -> int:
    """A seed of its own for every question, the same at every level of quantization."""
    digest = hashlib.sha256(f"{seed}:{problem_id}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def read_records(path: Path) -> list[Record]:
    """The records of a file, in its order; a torn last line is left out, a missing file is empty.

    Of records of one question the first counts: a file that was put together by hand has doubles.

    Raises:
        Refusal: if a whole line is not a record; names it.
    """
    if not path.exists():
        return []
    whole = regular(path).read_bytes().split(b"\n")[:-1]  # what follows the last line end is torn
    records: dict[str, Record] = {}
    for number, line in enumerate(whole, 1):
        where = f"{path} line {number}"
        found = parse(Record, line, where, "a record", least=0, needed=NEEDED)
        if not (found.id.isascii() and found.id.isdecimal() and len(found.id) < 20):
            raise Refusal(f"{where} is not a record: its id {found.id!r} is no line of a file")
        records.setdefault(found.id, found)
    return list(records.values())


class Appender:
    """A file of lines to append to; each is in it whole or not at all."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file

    def write(self, line: str) -> None:
        """Append a line, to be read by others at once.

        Raises:
            OSError: if the disk is full; names the file.
        """
        content = line.encode()
        before = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(content)
            while written < len(content):  # then the disk is full, and the next call says so
                written += self._file.write(content[written:])
        except OSError as error:
            os.truncate(self._path, before)
            if error.errno in NO_ROOM:
                raise no_room(self._path, before) from error
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def open_records(path: Path) -> Appender:
    """A file of records to append to, cut behind its last whole line."""
    if path.exists():
        content = regular(path).read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    return Appender(path, path.open("ab", buffering=0))
