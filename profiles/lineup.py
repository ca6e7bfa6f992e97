"""The models that one report compares: a baseline and levels of the same source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from convert.artifact import Artifact, RewardProtocol
from convert.refusal import Refusal

REFERENCE = "reference:"
FILES = (".gguf", ".onnx")


@dataclass(frozen=True, slots=True)
class Lineup:
    """Where the models stand. The baseline need not be one of the levels."""

    baseline: Path
    levels: tuple[Path, ...]

    @property
    def converted(self) -> tuple[Path, ...]:
        """All files: a baseline that is a checkpoint is left out."""
        return tuple(path for path in (self.baseline, *self.levels) if is_file(path.name))


class Describe(Protocol):
    """What a file or a checkpoint folder is; with a protocol, a reward model that scores so."""

    def __call__(self, path: Path, protocol: RewardProtocol | None = None, /) -> Artifact: ...


class Convert(Protocol):
    """A source at levels; with a protocol, a reward model that scores so."""

    def __call__(
        self, source: str, levels: Sequence[str], protocol: RewardProtocol | None = None, /
    ) -> Sequence[Artifact]: ...


@dataclass(frozen=True, slots=True)
class ModelSources:
    """Where models come from: `convert` outside tests."""

    describe: Describe
    folder: Callable[[str], Path]  # the checkpoint of a source
    convert: Convert


def real_sources(*, offline: bool) -> ModelSources:
    """Sources resolved and converted by `convert`."""
    from convert.ensure import ensure_all
    from convert.sources import resolve
    from convert.stated import Stated
    from runtime.load import describe_model

    def convert(
        source: str, levels: Sequence[str], protocol: RewardProtocol | None = None, /
    ) -> Sequence[Artifact]:
        stated = None if protocol is None else Stated("reward", reward=protocol)
        return ensure_all(source, levels, offline=offline, stated=stated)

    return ModelSources(
        describe=describe_model,
        folder=lambda source: resolve(source, offline=offline).path,
        convert=convert,
    )


def lineup(
    models: Sequence[str],
    levels: Sequence[str],
    baseline: str | None,
    sources: ModelSources,
    protocol: RewardProtocol | None = None,
) -> Lineup:
    """The models of a request: files as they stand, or one source at levels.

    Without a named baseline it is full precision, the checkpoint itself; among files, which have
    none, the first.

    Raises:
        Refusal: if files and sources are mixed, or there is nothing to compare.
        FileNotFoundError: if a file or a source does not exist.
    """
    if are_files(models):
        paths = [_existing(model) for model in models]
        if baseline is None:
            return Lineup(paths[0], tuple(paths[1:]))
        return Lineup(_named(baseline, sources), tuple(paths))
    full = sources.folder(models[0]) if baseline is None else _named(baseline, sources)
    return Lineup(full, tuple(made.path for made in sources.convert(models[0], levels, protocol)))


def are_files(models: Sequence[str]) -> bool:
    """Whether models are files; if not, they are one source.

    Raises:
        Refusal: if files and sources are mixed, or there are several sources.
    """
    if any(is_file(model) for model in models):
        if strangers := [model for model in models if not is_file(model)]:
            raise Refusal(f"{strangers[0]} is no model file; give files only, or one source")
        return True
    if len(models) > 1:
        raise Refusal(f"{len(models)} sources were given; choose one, or model files")
    return False


def is_file(source: str) -> bool:
    """Whether a source is one model file by its name."""
    return source.lower().endswith(FILES)


def _named(source: str, sources: ModelSources) -> Path:
    return _existing(source) if is_file(source) else sources.folder(source)


def _existing(source: str) -> Path:
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{source} does not exist; make it with convert --quant LEVEL")
    return path
