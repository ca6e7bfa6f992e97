"""The shards of a run as one folder: their records joined, each with its machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from convert.files import regular
from convert.refusal import Refusal
from profiles.merge.shards import ShardRun
from profiles.records import stored_run
from profiles.records.configuration import Configuration
from profiles.records.record import Record, open_records, read_records
from profiles.records.run_document import Failure, RunDocument
from profiles.records.shard import Shard
from profiles.records.worker_facts import joined, read_worker_facts, worker_facts_path
from profiles.tree.stored_trees import trees_path


def merge(parts: Sequence[ShardRun], folder: Path) -> None:
    """Write records, processes, trees and description of the whole run; the shards stay.

    Raises:
        Refusal: if a question is in two shards, or a file is broken; names it.
    """
    made = [_whole(one) for one in parts[0].configurations]
    stored_run.store_configurations(folder, made)
    for configuration in made:
        _join(parts, configuration, folder)
    stored_run.store_run(folder, _description(parts))


def _whole(configuration: Configuration) -> Configuration:
    """The configuration of all shards.

    One question after the other it is that of a run without shards. Of questions at once it is
    not: each shared its calls with others of its shard.
    """
    shard = configuration.shard
    if shard is None or configuration.parallel == 1:
        return replace(configuration, shard=None)
    return replace(configuration, shard=Shard(None, shard.count))


def _join(parts: Sequence[ShardRun], configuration: Configuration, folder: Path) -> None:
    """Put together what all shards hold of one configuration."""
    out = stored_run.records_path(folder, configuration)
    sources = [stored_run.records_path(part.folder, configuration) for part in parts]
    records: dict[str, Record] = {}
    for host, source in enumerate(sources):
        for record in read_records(source):
            if record.id in records:
                other = sources[records[record.id].host or 0]
                raise Refusal(f"question {record.id} is in {other} and in {source}; remove one")
            records[record.id] = replace(record, host=host)
    with open_records(out) as lines:
        for record in sorted(records.values(), key=lambda record: int(record.id)):
            lines.write(record.line())
    facts = [worker_facts_path(source) for source in sources]
    if known := [read_worker_facts(path) for path in facts if path.exists()]:
        joined(known).write(worker_facts_path(out))
    if trees := [path for path in map(trees_path, sources) if path.exists()]:
        with trees_path(out).open("wb") as file:
            for path in trees:
                content = regular(path).read_bytes()
                file.write(content[: content.rfind(b"\n") + 1])


def _description(parts: Sequence[ShardRun]) -> RunDocument:
    """What the whole run was asked for, and where its parts ran."""
    first = parts[0].run
    failures = [
        Failure(failure.slug, f"shard {part.shard}: {failure.reason}")
        for part in parts
        for failure in part.run.failures
    ]
    return replace(
        first,
        command=f"{first.command}, as shard {parts[0].shard} of those merged",
        questions=sum(part.run.questions for part in parts),
        hosts=[part.run.environment for part in parts],
        failures=failures,
    )
