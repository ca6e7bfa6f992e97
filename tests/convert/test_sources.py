"""Names of sources: folders, files, the hub, the reference models."""

from __future__ import annotations

import os
import time

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from convert.refusal import Refusal
from convert.sources import resolve


def test_reference_models_and_paths(mistral, reference):
    assert resolve("reference:policy").name == "policy"
    assert resolve("reference:reward").path.is_dir()
    folder = resolve(str(mistral))
    assert (folder.name, folder.path, folder.is_gguf) == ("mistral", mistral, False)
    file = resolve(str(reference("policy", "q8_0")))
    assert (file.name, file.is_gguf) == ("policy-q8_0", True)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("reference:planner", r"'reference:planner'; choose reference:policy or .*:thinker"),
        ("nowhere", r"nowhere does not exist; give a checkpoint folder, a .gguf file, a hub id"),
        ("a/b/c", r"a/b/c does not exist"),
        ("models/x.gguf", r"models/x.gguf does not exist"),
        ("./owner/name", r"does not exist"),
    ],
)
def test_what_is_no_source(source, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        resolve(source)


def test_a_file_that_is_no_gguf(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"model.bin is not a .gguf file"):
        resolve(str(tmp_path / "model.bin"))


def test_a_hub_id_brings_safetensors_or_else_bin(tmp_path, monkeypatch):
    asked = []

    def download(repository, *, revision, local_files_only, allow_patterns):
        asked.append((repository, revision, local_files_only, tuple(allow_patterns)))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    found = resolve("mistralai/Mistral-7B-v0.1@main")
    assert (found.name, found.origin) == ("Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1")
    assert found.revision == tmp_path.name
    assert [call[:3] for call in asked] == [("mistralai/Mistral-7B-v0.1", "main", False)] * 2
    assert "*.safetensors" in asked[0][3]
    assert "tokenizer*" in asked[0][3]
    assert asked[1][3] == ("pytorch_model*.bin*",)
    (tmp_path / "model.safetensors").touch()
    resolve("mistralai/Mistral-7B-v0.1", offline=True)
    assert len(asked) == 3
    assert asked[2][1:3] == (None, True)


def test_offline_and_not_there(monkeypatch):
    def download(*_args, **_options):
        raise LocalEntryNotFoundError("a page of advice")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(FileNotFoundError, match=r"owner/name is not in the local cache"):
        resolve("owner/name", offline=True)
    with pytest.raises(FileNotFoundError, match=r"owner/name could not be downloaded"):
        resolve("owner/name")


def test_a_pipe_or_a_device_is_no_source(tmp_path):
    os.mkfifo(tmp_path / "x.gguf")
    begin = time.perf_counter()
    for source in (tmp_path / "x.gguf", "/dev/zero"):
        with pytest.raises(Refusal, match=r"is a pipe or a device; give a file"):
            resolve(str(source))
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("source", ["~nobody-of-that-name/x", "a b/c d", "--x/y", "a/b@"])
def test_names_that_no_hub_has(source):
    with pytest.raises((Refusal, FileNotFoundError)):
        resolve(source, offline=True)


def test_a_name_that_no_text_can_hold(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with pytest.raises(Refusal, match=r"gives the name 'caf\\udce9'; choose valid Unicode"):
        resolve(str(folder))
