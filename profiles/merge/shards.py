"""The shards of one run as their folders hold them: all there, each once, measured alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.refusal import Refusal
from profiles.records.configuration import Configuration, differences, read_configuration
from profiles.records.record import read_records
from profiles.records.run_document import RunDocument
from profiles.records.shard import Shard
from profiles.records.stored_run import RECORDS, read_run, records_path

SAME = ("limit", "baseline", "latency_questions")  # what a digest leaves out


@dataclass(frozen=True, slots=True)
class ShardRun:
    """The folder of one shard."""

    folder: Path
    shard: Shard
    run: RunDocument
    configurations: tuple[Configuration, ...]


def read_shards(folders: Sequence[Path]) -> list[ShardRun]:
    """All shards of a run in their order.

    Raises:
        Refusal: if one is missing, doubled, no shard, or measured otherwise; names it.
    """
    parts = sorted(map(_part, folders), key=lambda part: part.shard.index or 0)
    first = parts[0]
    seen: dict[int | None, ShardRun] = {}
    for part in parts:
        if part.shard.count != first.shard.count:
            raise Refusal(
                f"{first.folder} is shard {first.shard} and {part.folder} is shard {part.shard}: "
                "parts of different runs"
            )
        other = seen.setdefault(part.shard.index, part)
        if other is not part:
            raise Refusal(f"{other.folder} and {part.folder} are both shard {part.shard}")
        _agree(first, part)
    missing = [str(Shard(i, first.shard.count)) for i in range(first.shard.count) if i not in seen]
    if missing:
        raise Refusal(f"missing: shard {', '.join(missing)}; see profile run --shard {missing[0]}")
    return parts


def unfinished(parts: Sequence[ShardRun]) -> list[str]:
    """Shards that lack answers, a line each."""
    found = []
    for part in parts:
        paths = [records_path(part.folder, one) for one in part.configurations]
        short = [path.stem for path in paths if len(read_records(path)) < part.run.questions]
        if short:
            found.append(
                f"shard {part.shard} lacks answers under {len(short)} of {len(paths)} "
                f"configurations, first {short[0]}; go on with it by --resume, then merge again"
            )
    return found


def _part(folder: Path) -> ShardRun:
    run = read_run(folder)
    paths = [folder / RECORDS / f"{slug}.json" for slug in run.configurations]
    made = tuple(read_configuration(path) for path in paths)
    shards = {one.shard for one in made}
    shard = next(iter(shards), None)
    if len(shards) != 1 or shard is None or shard.index is None:
        raise Refusal(f"{folder} is no shard of a run; give folders of profile run --shard I/K")
    return ShardRun(folder, shard, run, made)


def _agree(first: ShardRun, part: ShardRun) -> None:
    """Refuse what was not measured in the same way."""
    slugs = [[one.slug for one in each.configurations] for each in (first, part)]
    if slugs[0] != slugs[1] or first.run.methods != part.run.methods:
        raise Refusal(f"{first.folder} and {part.folder} hold different configurations")
    for theirs, ours in zip(first.configurations, part.configurations, strict=True):
        old, new = (replace(one, shard=None) for one in (theirs, ours))
        how = differences(old, new) if old.digest() != new.digest() else []
        how += [
            f"{name} {getattr(old, name)} -> {getattr(new, name)}"
            for name in SAME
            if getattr(old, name) != getattr(new, name)
        ]
        if how:
            raise Refusal(
                f"{part.folder} measured {new.slug} otherwise than {first.folder} "
                f"({', '.join(how)}); results do not mix"
            )
