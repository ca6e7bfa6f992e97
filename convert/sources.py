"""Where a model comes from: a folder, a GGUF file, a hub id, or a built-in reference model."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from convert import bounds
from convert.checkpoint import read_config
from convert.files import regular
from convert.gguf_split import whole_name
from convert.hub import What, download, repository_of
from convert.paired import paired
from convert.refusal import Refusal, one_of

REFERENCE = Path(__file__).parent / "reference"
BENCHMARK = REFERENCE / "benchmark.jsonl"  # 500 held-out problems in GSM8K's format
REFERENCES = ("policy", "reward", "thinker")
NAMES = one_of(f"reference:{name}" for name in REFERENCES)


@dataclass(frozen=True, slots=True)
class Source:
    """A resolved source: `path` is a checkpoint folder or a GGUF file."""

    name: str  # short, for file names
    path: Path
    origin: str  # as written into the artifact
    revision: str | None = None
    adapter: Path | None = None  # of LoRA, merged into it

    @property
    def is_gguf(self) -> bool:
        return self.path.is_file()


def resolve(
    source: str,
    *,
    tokenizer: str | None = None,
    adapter: str | None = None,
    offline: bool = False,
) -> Source:
    """Find a source, and download it if it is a hub id.

    `tokenizer` is the source of another one, `adapter` that of LoRA weights to merge into it. Of a
    repository weights come last, once its settings tell that they can be read.

    Raises:
        FileNotFoundError: if there is no such path or repository; says what is accepted.
        Refusal: for an unknown reference model, or a file that is no GGUF by its name.
    """
    found = _find(source, "weights", offline=offline)
    if adapter is not None:
        if found.is_gguf:
            raise Refusal(f"--adapter: {found.path.name} is a GGUF; give its checkpoint")
        lora = _find(adapter, "adapter", offline=offline)
        name, origin = f"{found.name}-{lora.name}", f"{found.origin} + {lora.origin}"
        found = replace(found, name=name, origin=origin, adapter=lora.path)
    if tokenizer is None:
        return found
    other = _find(tokenizer, "tokenizer", offline=offline)
    for each in (found, other):
        if each.is_gguf:
            raise Refusal(f"--tokenizer: {each.path.name} is a GGUF; give checkpoints")
    return replace(found, path=paired(found.path, found.name, other.path))


def _find(source: str, what: What, *, offline: bool) -> Source:
    if source.startswith("reference:"):
        return _reference(source)
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - Path's own raises for a stranger's ~
    if path.exists():  # its name is written into what is made of it
        bounds.text(path, "the name", path.resolve().name)
    if path.is_dir():
        return _folder(path)
    if path.exists():
        regular(path)
        if path.suffix.lower() != ".gguf":
            raise Refusal(f"{source} is not a .gguf file; give a .gguf file or a folder")
        return Source(whole_name(path), path, path.name)
    if source.count("/") != 1 or source.startswith((".", "/", "~")) or source.endswith(".gguf"):
        raise FileNotFoundError(
            f"{source} does not exist; give a checkpoint folder, a .gguf file, a hub id such as "
            f"mistralai/Mistral-7B-v0.1, or {NAMES}"
        )
    if what == "weights":
        read_config(download(source, "settings", offline=offline))
    folder = download(source, what, offline=offline)
    repository = source.partition("@")[0]
    return Source(repository.split("/")[1], folder, repository, folder.name)


def _folder(path: Path) -> Source:
    """A checkpoint folder under its own name, or that of the repository it is a snapshot of."""
    if known := repository_of(path):
        repository, revision = known
        return Source(repository.split("/")[-1], path, repository, revision)
    name = path.resolve().name
    return Source(name, path, name)


def _reference(source: str) -> Source:
    name = source.removeprefix("reference:")
    if name not in REFERENCES:
        raise Refusal(f"unknown reference model {source!r}; choose {NAMES}")
    return Source(name, REFERENCE / name, source)
