"""A model at a level, converted only if it is not there yet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from convert.artifact import Artifact, Role, ThoughtEmbedding, read_artifact
from convert.build import Order, build
from convert.formats import FORMATS, AnyLevel, FileFormat, parse
from convert.onnx_files import model_files
from convert.progress import Progress
from convert.sources import Source, resolve


def ensure(
    source: str,
    level: str,
    folder: Path | None = None,
    role: Role | None = None,
    *,
    offline: bool = False,
    thought_embedding: ThoughtEmbedding | None = None,
) -> Artifact:
    """The artifact of a source at a level, from the cache or converted now."""
    (artifact,) = ensure_all(
        source, [level], folder, role, offline=offline, thought_embedding=thought_embedding
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
) -> list[Artifact]:
    """Artifacts of a source at levels of any format; what is missing or outdated shares one export.

    `folder` defaults to the user's cache. An artifact is outdated when the source's files changed.

    Raises:
        Refusal: for an unknown level or source.
        FileNotFoundError: if the source does not exist.
    """
    found, parsed = resolve(source, offline=offline), [parse(level, formats) for level in levels]
    state = _fingerprint(found, role, thought_embedding)
    home = (folder or _cache()) / state[:16]
    order = Order(found, parsed, home, role, force=True, thought_embedding=thought_embedding)
    order.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(order.folder / "lock"):  # another process may want the same model
        ready = {level.name: _ready(order, level) for level in parsed}
        missing = [level for level in ready if ready[level] is None]
        if missing:
            todo = [level for level in dict.fromkeys(parsed) if level.name in missing]
            made = build(replace(order, levels=todo), progress)
            ready |= {artifact.level: artifact for artifact in made}
    return [artifact for level in parsed if (artifact := ready[level.name]) is not None]


def _ready(order: Order, level: AnyLevel) -> Artifact | None:
    path = order.path(level)
    try:
        artifact = read_artifact(path)
    except (FileNotFoundError, ValueError):
        return None
    files = model_files(path)
    size = sum(file.stat().st_size for file in files if file.exists())
    heads = artifact.heads_path
    whole = size == artifact.size_bytes and (heads is None or heads.exists())
    return artifact if whole else None


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("starbase-edge") / "models"


def _fingerprint(source: Source, role: Role | None, embedding: ThoughtEmbedding | None) -> str:
    """Changes with a file of the source (name, size or time), the options, or this package."""
    paths = (
        [source.path] if source.is_gguf else sorted(p for p in source.path.iterdir() if p.is_file())
    )
    facts = [f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in paths]
    facts += [source.origin, role or "", version("starbase-edge"), *filter(None, [embedding])]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
