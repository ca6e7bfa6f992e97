"""The folder of a run: what was asked, records and process of every configuration, the report."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from convert.files import write_json
from convert.refusal import Refusal
from profiles.records.configuration import Configuration, differences, read_configuration
from profiles.records.record import Record, read_records
from profiles.records.run_document import RunDocument
from profiles.records.worker_facts import WorkerFacts, read_worker_facts, worker_facts_path
from profiles.stored_json import read_document

RUN = "run.json"
RECORDS = "records"
SLUG = re.compile(r"[A-Za-z0-9._-]{1,250}")
WRITTEN = (RUN, "summary.json", "summary.csv", "report.md", "index.html")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One configuration with what it gave so far."""

    configuration: Configuration
    process: WorkerFacts
    records: tuple[Record, ...]


def check(folder: Path, *, resume: bool, force: bool) -> None:
    """See that a run may write to a folder, before any work is done.

    Raises:
        FileExistsError: if it holds something, and neither `resume` nor `force` makes sense of it.
    """
    if not folder.exists() or resume:
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if not force:
        raise FileExistsError(
            f"{folder} exists; give --resume to go on with it, --force to start over, or another -o"
        )
    if not (folder / RUN).exists() and not (folder / RECORDS).is_dir():
        raise FileExistsError(f"{folder} is not a report; remove it yourself, or give another -o")


def prepare(folder: Path, *, force: bool) -> None:
    """Make the folder of a run; with `force`, without what an earlier run wrote there."""
    if force:
        shutil.rmtree(folder / RECORDS, ignore_errors=True)
        for name in WRITTEN:
            (folder / name).unlink(missing_ok=True)
    (folder / RECORDS).mkdir(parents=True, exist_ok=True)


def store_configurations(folder: Path, configurations: list[Configuration]) -> None:
    """Put every configuration beside its records.

    Raises:
        Refusal: if there are records of a configuration of that name that differs; says how.
    """
    for new in configurations:
        path = configuration_path(folder, new)
        if path.exists():
            old = read_configuration(path)
            if old.digest() != new.digest():
                how = ", ".join(differences(old, new)) or "other options"
                raise Refusal(
                    f"{folder} holds {new.slug} measured otherwise ({how}); results do not mix: "
                    "give --force to start over, or another -o"
                )
    for new in configurations:
        write_json(configuration_path(folder, new), new.document())


def configuration_path(folder: Path, configuration: Configuration) -> Path:
    """Where a configuration itself is stored."""
    return folder / RECORDS / f"{configuration.slug}.json"


def records_path(folder: Path, configuration: Configuration) -> Path:
    """Where its records go."""
    return folder / RECORDS / f"{configuration.slug}.jsonl"


def log_path(folder: Path, configuration: Configuration) -> Path:
    """Where its worker's standard error goes; kept only after a failure."""
    return folder / RECORDS / f"{configuration.slug}.log"


def store_run(folder: Path, run: RunDocument) -> None:
    """Write what a run was asked for and where it runs."""
    write_json(folder / RUN, asdict(run))


def read_run(folder: Path) -> RunDocument:
    """What the run was asked for and where it ran.

    Raises:
        FileNotFoundError: if the folder is not one of a run.
        Refusal: if its description is broken.
    """
    path = folder / RUN
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no {RUN}; give the folder of a `profile run`")
    run = read_document(RunDocument, path, "the description of a run")
    if strange := [slug for slug in run.configurations if not SLUG.fullmatch(slug)]:
        raise Refusal(f"{path}: {strange[0]!r} is no name of a configuration; see profile run")
    return run


def read_measured(folder: Path, slugs: list[str]) -> list[Recorded]:
    """What there is of the named configurations, in their order; those without records left out."""
    found: list[Recorded] = []
    for slug in slugs:
        path = folder / RECORDS / f"{slug}.json"
        records = path.with_suffix(".jsonl")
        if not path.exists() or not worker_facts_path(records).exists():
            continue
        configuration = read_configuration(path)
        rows = read_records(records)
        rows = rows if configuration.limit is None else _first(rows, configuration.limit)
        if rows:
            found.append(
                Recorded(configuration, read_worker_facts(worker_facts_path(records)), tuple(rows))
            )
    return found


def _first(records: list[Record], limit: int) -> list[Record]:
    """The records of the first `limit` problems; ids are positions in the file."""
    wanted = sorted(records, key=lambda record: int(record.id))
    return wanted[:limit]
