"""Names of sources: folders, files, the hub, the reference models."""

from __future__ import annotations

import os
import time

import pytest

from convert.checkpoint import read_checkpoint
from convert.refusal import Refusal
from convert.sources import resolve
from convert.torch_artifact import artifact_from_folder


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
        ("reference:planner", r"'reference:planner'; choose reference:policy, .* or .*:thinker"),
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


def test_a_snapshot_goes_by_its_repositorys_name(tmp_path, mistral):
    folder = tmp_path / "models--owner--name--of-it" / "snapshots" / "0123abcd"
    folder.parent.mkdir(parents=True)
    mistral.rename(folder)
    found = resolve(str(folder))
    assert (found.name, found.origin) == ("name--of-it", "owner/name--of-it")
    assert found.revision == "0123abcd"
    described = artifact_from_folder(folder)
    assert (described.source, described.revision) == ("owner/name--of-it", "0123abcd")


@pytest.mark.parametrize("names", ["x/snapshots/y", "models--/snapshots/y", "models--a--b/refs/y"])
def test_what_is_no_snapshot(tmp_path, names):
    (tmp_path / names).mkdir(parents=True)
    assert resolve(str(tmp_path / names)).name == "y"


def test_the_tokenizer_of_another(tmp_path, mistral):
    other = tmp_path / "other"
    other.mkdir()
    for path in [*mistral.glob("tokenizer*")]:
        path.rename(other / path.name)
    with pytest.raises(FileNotFoundError, match=r"no tokenizer: .*; convert --tokenizer SOURCE"):
        read_checkpoint(mistral)
    (mistral / "vocab.json").write_text("{}")  # half of one
    for _ in range(2):  # the links stay
        found = resolve(str(mistral), tokenizer=str(other))
        assert (found.name, found.origin, found.path.name) == ("mistral", "mistral", "mistral")
        assert read_checkpoint(found.path).shape.vocab == 1024
        assert not (found.path / "vocab.json").exists()
        assert (found.path / "tokenizer.json").read_bytes() == (
            other / "tokenizer.json"
        ).read_bytes()
    (mistral / "vocab.json").unlink()
    with pytest.raises(Refusal, match=r"mistral holds no tokenizer; choose one that does"):
        resolve(str(other), tokenizer=str(mistral))


def test_a_gguf_keeps_its_tokenizer(mistral, reference):
    file = str(reference("policy", "q8_0"))
    for source, tokenizer in ((file, str(mistral)), (str(mistral), file)):
        with pytest.raises(Refusal, match=r"--tokenizer: policy-q8_0.gguf is a GGUF"):
            resolve(source, tokenizer=tokenizer)
