"""Where a model comes from: a folder, a GGUF file, a hub id, or a built-in reference model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from convert import bounds
from convert.files import regular
from convert.gguf_split import whole_name
from convert.refusal import Refusal, reading

REFERENCE = Path(__file__).parent / "reference"
BENCHMARK = REFERENCE / "benchmark.jsonl"  # 500 held-out problems in GSM8K's format
REFERENCES = ("policy", "reward", "thinker")
WANTED = (  # files of a hub repository that a conversion reads
    "config.json",
    "generation_config.json",
    "protocol.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template*",
    "*.safetensors.index.json",
)


@dataclass(frozen=True, slots=True)
class Source:
    """A resolved source: `path` is a checkpoint folder or a GGUF file."""

    name: str  # short, for file names
    path: Path
    origin: str  # as written into the artifact
    revision: str | None = None

    @property
    def is_gguf(self) -> bool:
        return self.path.is_file()


def resolve(source: str, *, offline: bool = False) -> Source:
    """Find a source, and download it if it is a hub id.

    Raises:
        FileNotFoundError: if there is no such path or repository; says what is accepted.
        Refusal: for an unknown reference model, or a file that is no GGUF by its name.
    """
    if source.startswith("reference:"):
        return _reference(source)
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - Path's own raises for a stranger's ~
    if path.exists():  # its name is written into what is made of it
        bounds.text(path, "the name", path.resolve().name)
    if path.is_dir():
        return Source(path.resolve().name, path, path.resolve().name)
    if path.exists():
        regular(path)
        if path.suffix.lower() != ".gguf":
            raise Refusal(f"{source} is not a .gguf file; give a .gguf file or a folder")
        return Source(whole_name(path), path, path.name)
    if source.count("/") != 1 or source.startswith((".", "/", "~")) or source.endswith(".gguf"):
        raise FileNotFoundError(
            f"{source} does not exist; give a checkpoint folder, a .gguf file, a hub id such as "
            f"mistralai/Mistral-7B-v0.1, or reference:{' or reference:'.join(REFERENCES)}"
        )
    return _download(source, offline=offline)


def _reference(source: str) -> Source:
    name = source.removeprefix("reference:")
    if name not in REFERENCES:
        choices = " or ".join(f"reference:{r}" for r in REFERENCES)
        raise Refusal(f"unknown reference model {source!r}; choose {choices}")
    return Source(name, REFERENCE / name, source)


def _download(source: str, *, offline: bool) -> Source:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = source.partition("@")

    def get(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                local_files_only=offline,
                allow_patterns=patterns,
            )
        )

    try:
        with reading(source):  # the hub's client raises many types, for a name of another form too
            folder = get([*WANTED, "*.safetensors"])
            if not any(folder.glob("*.safetensors")):
                get(["pytorch_model*.bin*"])
    except LocalEntryNotFoundError as error:
        how = "is not in the local cache (--offline)" if offline else "could not be downloaded"
        raise FileNotFoundError(f"{source} {how}; check the name and the network") from error
    except HfHubHTTPError as error:
        raise FileNotFoundError(f"{source} could not be downloaded: {error}") from error
    return Source(repository.split("/")[1], folder, repository, folder.name)
