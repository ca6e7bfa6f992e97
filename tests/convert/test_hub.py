"""What is asked of the hub, and what is said when it does not come; the hub is a stub."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from convert.sources import resolve

CONFIG = '{"model_type": "mistral"}'
FILES = (  # of mistralai/Mistral-7B-Instruct-v0.3, and of repositories that hold more than one form
    "adapter_config.json",
    "adapter_model.safetensors",
    "config.json",
    "consolidated.safetensors",
    "consolidated.safetensors.index.json",
    "generation_config.json",
    "model-00001-of-00002.safetensors",
    "model.safetensors.index.json",
    "original/model.safetensors",
    "params.json",
    "pytorch_model-00001-of-00002.bin",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.model.v3",
)

Asked = list[dict[str, Any]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A hub whose snapshot is a folder; every call is kept, with the files it would bring."""
    asked: Asked = []
    (tmp_path / "config.json").write_text(CONFIG)

    def snapshot_download(repository: str, **options: Any) -> str:
        brought = [
            name
            for name in FILES
            if any(fnmatch(name, pattern) for pattern in options["allow_patterns"])
            and not any(fnmatch(name, pattern) for pattern in options["ignore_patterns"])
        ]
        asked.append({"repository": repository, "files": brought, **options})
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def _fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def snapshot_download(*_args: Any, **_options: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)


def _error(kind: type[BaseException], text: str = "403 Client Error.\n\nA page") -> BaseException:
    """An error of the client without the response that it wants."""
    error = kind.__new__(kind)
    error.args = (text,)
    return error


def test_safetensors_come_or_else_bin(hub: Asked, tmp_path: Path) -> None:
    found = resolve("mistralai/Mistral-7B-v0.1@main")
    assert (found.name, found.origin) == ("Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1")
    assert found.revision == tmp_path.name
    called = [(c["repository"], c["revision"], c["local_files_only"]) for c in hub]
    assert called == [("mistralai/Mistral-7B-v0.1", "main", False)] * 3
    assert hub[2]["files"] == ["pytorch_model-00001-of-00002.bin"]
    (tmp_path / "model.safetensors").touch()
    resolve("mistralai/Mistral-7B-v0.1", offline=True)
    assert len(hub) == 5
    assert (hub[4]["revision"], hub[4]["local_files_only"]) == (None, True)


def test_weights_come_once(hub: Asked) -> None:
    resolve("mistralai/Mistral-7B-Instruct-v0.3")
    assert hub[0]["files"] == [
        "adapter_config.json",
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer.model.v3",
    ]
    assert hub[1]["files"] == ["model-00001-of-00002.safetensors"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "gpt2"}, r"has model_type 'gpt2'; choose a model of mistral"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, r"quantized .*AWQ, 4 bits"),
    ],
)
def test_no_weights_come_that_cannot_be_read(
    hub: Asked, tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mistral"} | config))
    with pytest.raises(ValueError, match=said):
        resolve("a/b")
    assert [name for call in hub for name in call["files"] if name.startswith("model-")] == []


def test_an_adapter_of_the_hub(hub: Asked, tmp_path: Path, mistral: Path) -> None:
    found = resolve(str(mistral), adapter="me/lora@v2")
    assert (found.name, found.origin) == ("mistral-lora", "mistral + me/lora")
    assert (found.adapter, hub[0]["revision"]) == (tmp_path, "v2")
    assert hub[0]["files"] == ["adapter_config.json", "adapter_model.safetensors"]


def test_of_a_tokenizers_repository_nothing_else_comes(
    hub: Asked, tmp_path: Path, mistral: Path
) -> None:
    for path in mistral.glob("tokenizer*"):
        path.rename(tmp_path / path.name)
    resolve(str(mistral), tokenizer="mistralai/Mistral-7B-v0.1@abc")
    assert hub[0]["revision"] == "abc"
    assert hub[0]["files"] == ["tokenizer.json", "tokenizer.model", "tokenizer.model.v3"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            errors.GatedRepoError,
            rf"accept its terms at {constants.ENDPOINT}/a/b, then set HF_TOKEN",
        ),
        (errors.RepositoryNotFoundError, r"a/b is not on the hub, or is private; .*HF_TOKEN"),
        (errors.RevisionNotFoundError, r"a/b has no revision main; choose a branch, a tag"),
        (errors.LocalEntryNotFoundError, r"a/b could not be downloaded; check the name and the"),
        (errors.HfHubHTTPError, r"not be downloaded: 403 Client Error. A page; what has come is"),
        (ConnectionError, r"a/b could not be downloaded: .*; what has come is kept, try again"),
    ],
)
def test_why_it_does_not_come(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException], said: str
) -> None:
    _fails(monkeypatch, _error(kind))
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        resolve("a/b@main")
    assert "\n" not in str(caught.value)


def test_offline_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _fails(monkeypatch, _error(errors.LocalEntryNotFoundError))
    with pytest.raises(FileNotFoundError, match=r"owner/name is not in the local cache"):
        resolve("owner/name", offline=True)


def test_the_client_goes_by_its_own_settings(hub: Asked) -> None:
    """It resumes what it began, and takes HF_TOKEN and HF_HOME from the environment."""
    resolve("a/b")
    own = {"force_download", "token", "cache_dir", "local_dir", "endpoint"}
    assert all(not own & call.keys() for call in hub)


def test_a_repository_of_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models--owner--gguf" / "snapshots" / "0123"
    folder.mkdir(parents=True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **_options: str(folder))
    with pytest.raises(FileNotFoundError, match=r"owner/gguf has no config.json.*download one and"):
        resolve("owner/gguf")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    with pytest.raises(ValueError, match=r"convert owner/base --adapter owner/gguf"):
        resolve("owner/gguf")
