"""A model in several files opens and converts as it does in one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convert.ensure import ensure
from convert.gguf_artifact import artifact_from_gguf
from convert.gguf_header import read_header
from convert.refusal import Refusal
from runtime.load import EngineOptions, open_engine
from tests.convert.rewritten_gguf import split

Reference = Callable[[str, str], Path]


@pytest.fixture
def parts(reference: Reference, tmp_path: Path) -> list[Path]:
    return split(reference("policy", "q8_0"), tmp_path, 3)


def test_it_is_described_as_one(reference: Reference, parts: list[Path]) -> None:
    one, several = read_header(reference("policy", "q8_0")), read_header(parts[0])
    assert [(t.name, t.shape, t.type) for t in several.tensors] == [
        (t.name, t.shape, t.type) for t in one.tensors
    ]
    for ours, theirs in zip(several.tensors, one.tensors, strict=True):
        if ours.type == 0:
            assert np.array_equal(several.read_float32(ours), one.read_float32(theirs))
    artifact = artifact_from_gguf(parts[0])
    assert artifact.size_bytes == sum(path.stat().st_size for path in parts)
    assert artifact.shape == artifact_from_gguf(reference("policy", "q8_0")).shape


def test_it_opens_and_converts(reference: Reference, parts: list[Path], tmp_path: Path) -> None:
    made = ensure(str(parts[0]), "q4_k_m", tmp_path / "out")
    assert made.path.name == "split-q4_k_m.gguf"
    assert "split.count" not in read_header(made.path).values
    again = ensure(str(reference("policy", "q8_0")), "q4_k_m", tmp_path / "again")
    options = EngineOptions(device="cpu", threads=1, context=256, max_branches=2)
    ids = [1, 5, 6, 7, 8, 9]
    for ours, theirs in ((parts[0], reference("policy", "q8_0")), (made.path, again.path)):
        with open_engine(ours, options) as engine, engine.open(ids) as root:
            logits = engine.logits([root]).copy()
        with open_engine(theirs, options) as engine, engine.open(ids) as root:
            assert np.array_equal(engine.logits([root]), logits)


def test_what_is_not_whole_is_told(parts: list[Path]) -> None:
    with pytest.raises(Refusal, match=r"is part 2 of .* 3 files; open the first one: split-00001"):
        read_header(parts[1])
    moved = parts[0].rename(parts[0].with_name("other.gguf"))
    with pytest.raises(Refusal, match=r"part 1 of .* 3 files; name it .* NAME-00001-of-00003.gguf"):
        read_header(moved)
    moved.rename(parts[0])
    content = parts[1].read_bytes()
    parts[1].write_bytes(content[:-10])
    with pytest.raises(Refusal, match=r"split-00002-of-00003.gguf is cut short"):
        read_header(parts[0])
    parts[1].write_bytes(parts[2].read_bytes())
    with pytest.raises(Refusal, match="hold a tensor of one name"):
        read_header(parts[0])
    parts[2].unlink()
    with pytest.raises(FileNotFoundError, match=r"split-00003-of-00003.gguf is missing"):
        read_header(parts[0])
