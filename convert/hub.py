"""Repositories of the hub: the files that a conversion reads, and why they may not come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from convert.refusal import Refusal, reading

ADAPTER = "adapter_model.safetensors"
What = Literal["settings", "weights", "tokenizer", "adapter"]
TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template*",
)
WANTED = (  # files of a repository that a conversion reads
    "config.json",
    "generation_config.json",
    "protocol.json",
    "quant*_config.json",
    "adapter_config.json",
    *TOKENIZER_FILES,
    "*.safetensors.index.json",
)
FILES: dict[What, tuple[str, ...]] = {
    "settings": WANTED,
    "weights": ("*.safetensors",),
    "tokenizer": TOKENIZER_FILES,
    "adapter": ("adapter_config.json", ADAPTER),
}
UNWANTED = (ADAPTER, "consolidated*", "*/*")  # weights again, in their makers' own forms


def download(name: str, what: What, *, offline: bool = False) -> Path:
    """The folder of `owner/name` or `owner/name@revision` in the hub's cache, some files there.

    What came before a broken connection is kept: the next call goes on from there. The hub's client
    takes the token of a private or gated repository from HF_TOKEN.

    Raises:
        FileNotFoundError: if there is no such repository or revision, or no network.
        Refusal: if its owner wants terms accepted first; names the page.
    """
    repository, _, revision = name.partition("@")
    with _explained(repository, revision, offline=offline):
        folder = _snapshot(repository, revision, FILES[what], offline=offline)
        if what == "weights" and not any(folder.glob("*.safetensors")):
            _snapshot(repository, revision, ["pytorch_model*.bin*"], offline=offline)
        return folder


def repository_of(folder: Path) -> tuple[str, str] | None:
    """`owner/name` and revision of a folder that is a snapshot in the hub's cache."""
    folder = folder.resolve()
    kind, *names = folder.parents[1].name.split("--", 2) if len(folder.parents) > 1 else [""]
    if folder.parent.name != "snapshots" or kind != "models" or not all(names):
        return None
    return "/".join(names), folder.name


def _snapshot(repository: str, revision: str, patterns: Sequence[str], *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    with reading(repository):  # the client raises many types, for a name of another form too
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                local_files_only=offline,
                allow_patterns=list(patterns),
                ignore_patterns=[each for each in UNWANTED if each not in patterns],
            )
        )


@contextmanager
def _explained(repository: str, revision: str, *, offline: bool) -> Iterator[None]:
    """Turn what the hub's client raises into one line that says what to do."""
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise Refusal(
            f"{repository} is gated: accept its terms at {constants.ENDPOINT}/{repository}, then "
            "set HF_TOKEN to a token of that account"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(
            f"{repository} has no revision {revision}; choose a branch, a tag or a commit of it"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{repository} is not on the hub, or is private; check the name, or set HF_TOKEN to a "
            "token of an account that may read it"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        how = "is not in the local cache (--offline)" if offline else "could not be downloaded"
        raise FileNotFoundError(f"{repository} {how}; check the name and the network") from error
    except OSError as error:  # of HTTP, or of the connection
        said = " ".join(str(error).split()) or type(error).__name__
        raise FileNotFoundError(
            f"{repository} could not be downloaded: {said}; what has come is kept, try again"
        ) from error
