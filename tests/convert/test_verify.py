"""Files that were not converted together are refused; what was checked is not read again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from convert import first_look, verify
from convert.artifact import read_artifact
from convert.build import build
from convert.heads import read_talk_head
from convert.levels import parse_level
from convert.onnx_files import data_path
from convert.order import Order
from convert.refusal import Refusal
from convert.sources import resolve
from runtime.load import EngineOptions, open_engine

OPTIONS = EngineOptions(device="cpu", threads=1, context=256, max_branches=4)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def convert(source: Path, out: Path, level: str) -> Path:
    (artifact,) = build(Order(resolve(str(source)), [parse_level(level)], out, force=True))
    return artifact.path


def test_heads_stay_those_of_the_level_they_were_converted_with(
    tmp_path: Path, tiny_thinker: Callable[..., Path]
) -> None:
    old = convert(tiny_thinker(tmp_path / "1" / "thinker", seed=1), tmp_path / "out", "q4_0")
    rows = np.ones((2, 512), np.float32)
    before = read_talk_head(read_artifact(old))(rows)
    new = convert(tiny_thinker(tmp_path / "2" / "thinker", seed=2), tmp_path / "out", "q8_0")
    np.testing.assert_array_equal(read_talk_head(read_artifact(old))(rows), before)
    assert np.abs(read_talk_head(read_artifact(new))(rows) - before).max() > 0.01
    assert verify.verify(read_artifact(old))


def test_a_changed_file_is_named(tmp_path: Path, tiny_thinker: Callable[..., Path]) -> None:
    path = convert(tiny_thinker(tmp_path / "thinker"), tmp_path / "out", "q8_0")
    heads = read_artifact(path).heads_path
    assert heads is not None
    for file in (path, heads):
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(Refusal, match=rf"{file.name} is not the file that .* describes"):
            open_engine(path, OPTIONS)
        file.write_bytes(content)
    open_engine(path, OPTIONS).close()


def test_a_file_is_hashed_once(
    tmp_path: Path, tiny_thinker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = convert(tiny_thinker(tmp_path / "thinker"), tmp_path / "out", "q8_0")
    monkeypatch.setattr(verify, "sha256", lambda _: pytest.fail("it was hashed when it was made"))
    assert verify.verify(read_artifact(path))


def test_new_weights_under_an_old_graph_are_refused(
    tmp_path: Path, reference: Callable[[str, str], Path]
) -> None:
    pytest.importorskip("onnxruntime")
    old, new = reference("policy", "int4"), reference("policy", "int8")
    artifact = read_artifact(old)
    for file in (*verify.files_of(artifact), artifact.manifest_path):
        shutil.copy(file, tmp_path)
    shutil.copy(data_path(new), data_path(tmp_path / old.name))
    with pytest.raises(Refusal, match=r"int4.onnx.data is not the file that"):
        open_engine(tmp_path / old.name, OPTIONS)
    (tmp_path / artifact.manifest_path.name).unlink()
    with pytest.raises(FileNotFoundError, match="has no manifest beside it"):
        open_engine(tmp_path / old.name, OPTIONS)


def test_a_file_that_took_too_long_is_looked_at_again(
    tmp_path: Path, reference: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "foreign.gguf"
    shutil.copy(reference("policy", "f16"), path)
    given = {}

    def slow(*_: Any, **options: float) -> tuple[list[Any], str]:
        given.update(options)
        return [], "did not answer in 120 s"

    with monkeypatch.context() as busy:
        busy.setattr(first_look, "run_child", slow)
        with pytest.raises(Refusal, match="did not answer in 120 s"):
            open_engine(path, OPTIONS)
    assert given["patience_s"] == pytest.approx(120 + path.stat().st_size / 1e7)
    open_engine(path, OPTIONS).close()


def test_weights_that_are_not_finite_are_found_in_a_foreign_file(
    tmp_path: Path, reference: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "foreign.gguf"
    shutil.copy(reference("policy", "f16"), path)
    open_engine(path, OPTIONS).close()  # as it is
    monkeypatch.setattr(first_look, "run_child", lambda *_, **__: pytest.fail("it was looked at"))
    open_engine(path, OPTIONS).close()
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    reader = gguf.GGUFReader(path, "r+")
    tensor = next(t for t in reader.tensors if t.name == "blk.2.ffn_up.weight")
    tensor.data[3, 5] = np.nan
    reader.data.flush()
    with pytest.raises(Refusal, match=r"cannot open .*foreign.gguf: "):
        open_engine(path, OPTIONS)
