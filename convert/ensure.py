"""A model at a level, converted only if it is not there yet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from convert.artifact import Artifact, Role, ThoughtEmbedding, read_artifact
from convert.cache import cache_folder
from convert.files import alone
from convert.formats import FORMATS, AnyLevel, FileFormat, parse
from convert.gguf_header import read_header
from convert.order import Order
from convert.progress import Progress
from convert.refusal import Refusal
from convert.sources import Source, resolve
from convert.stated import Stated
from convert.verify import verify


def ensure(
    source: str,
    level: str,
    folder: Path | None = None,
    role: Role | None = None,
    *,
    offline: bool = False,
    thought_embedding: ThoughtEmbedding | None = None,
    stated: Stated | None = None,
) -> Artifact:
    """The artifact of a source at a level, from the cache or converted now."""
    (artifact,) = ensure_all(
        source,
        [level],
        folder,
        role,
        offline=offline,
        thought_embedding=thought_embedding,
        stated=stated,
    )
    return artifact


def ensure_all(
    source: str,
    levels: Sequence[str],
    folder: Path | None = None,
    role: Role | None = None,
    *,
    offline: bool = False,
    progress: Progress | None = None,
    formats: Sequence[FileFormat] = FORMATS,
    thought_embedding: ThoughtEmbedding | None = None,
    stated: Stated | None = None,
) -> list[Artifact]:
    """Artifacts of a source at levels of any format; what is missing or outdated shares one export.

    `folder` defaults to the user's cache. An artifact is outdated when the source's files changed.

    Raises:
        Refusal: for an unknown level or source.
        FileNotFoundError: if the source does not exist.
    """
    found, parsed = resolve(source, offline=offline), [parse(level, formats) for level in levels]
    state = _fingerprint(found, role, thought_embedding, stated)
    home = (folder or cache_folder("models")) / state[:16]
    order = Order(
        found,
        parsed,
        home,
        role,
        force=True,
        thought_embedding=thought_embedding,
        stated=stated,
    )
    order.folder.mkdir(parents=True, exist_ok=True)
    with alone(order.folder):  # another process may want the same model
        ready = {level.name: _ready(order, level) for level in parsed}
        missing = [level for level in ready if ready[level] is None]
        if missing:
            from convert.build import build  # seconds, for what most calls do not do

            todo = [level for level in dict.fromkeys(parsed) if level.name in missing]
            made = build(replace(order, levels=todo), progress)
            ready |= {artifact.level: artifact for artifact in made}
    return [artifact for level in parsed if (artifact := ready[level.name]) is not None]


def _ready(order: Order, level: AnyLevel) -> Artifact | None:
    try:
        artifact = read_artifact(order.path(level))
        return artifact if verify(artifact) else None
    except (FileNotFoundError, Refusal):
        return None


def _fingerprint(
    source: Source,
    role: Role | None,
    embedding: ThoughtEmbedding | None,
    stated: Stated | None,
) -> str:
    """Changes with a file of the source (name, size or time), the options, or this package."""
    if source.is_gguf:
        paths = sorted({source.path, *(t.path for t in read_header(source.path).tensors)})
    else:
        paths = sorted(p for p in source.path.iterdir() if p.is_file())
    facts = [f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in paths]
    facts += [source.origin, role or "", version("starbase-edge"), *filter(None, [embedding])]
    facts += [] if stated is None else [repr(stated)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
