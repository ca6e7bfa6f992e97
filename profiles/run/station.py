"""One worker of a cluster: the models of one configuration, open for item after item."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from convert.command import sentence
from convert.refusal import Refusal
from methods.opened import Models
from profiles.environment import Environment, environment
from profiles.records.configuration import Configuration
from profiles.records.record import Record, read_records
from profiles.records.worker_facts import WorkerFacts, read_worker_facts, worker_facts_path
from profiles.run.models import Opener, open_models
from profiles.run.worker import measure
from profiles.tree.stored_trees import trees_path


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What the questions of an item gave, or why they gave nothing."""

    records: tuple[Record, ...] = ()
    trees: str = ""  # lines
    process: WorkerFacts | None = None
    failed: str | None = None
    environment: Environment | None = None  # the machine


class Station:
    """Answers items of one configuration; in a process of its own, as its peaks of memory are."""

    def __init__(self, opener: Opener = open_models) -> None:
        self._opener = opener
        self._stack = ExitStack()
        self._models: Models | None = None
        self._environment = environment()

    def answer(self, configuration: Configuration, ids: Sequence[str]) -> ItemResult:
        """Answer some questions, as a run of these alone would; the models stay open."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "records.jsonl"
            try:
                measure(configuration, out, opener=self._open, ids=frozenset(ids))
            except (Refusal, OSError, MemoryError) as error:
                return ItemResult(failed=sentence(error))
            except Exception as error:
                said = f"{type(error).__name__}: {sentence(error)} (a fault of ours)"
                return ItemResult(failed=said)
            trees = trees_path(out)
            return ItemResult(
                tuple(read_records(out)),
                trees.read_text(encoding="utf-8") if trees.exists() else "",
                read_worker_facts(worker_facts_path(out)),
                environment=self._environment,
            )

    @contextmanager
    def _open(self, configuration: Configuration) -> Iterator[Models]:
        """The models, opened at the first item and not closed behind one."""
        if self._models is None:
            self._models = self._stack.enter_context(self._opener(configuration))
        yield self._models
