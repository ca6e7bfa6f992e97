"""Which models a report compares."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.artifact import Artifact, Shape
from profiles.lineup import Lineup, ModelSources, lineup


def _described(path: Path) -> Artifact:
    return Artifact(path, "gguf", "q8_0", "policy", "", Shape(1, 1, 1, 1, 1, 1, 1, 1), 1, 8.5, "")


SOURCES = ModelSources(
    describe=_described,
    folder=lambda source: Path(f"/checkpoints/{source}"),
    convert=lambda source, levels, _protocol: [
        _described(Path(f"/models/{source}-{level}.gguf")) for level in levels
    ],
)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    made = [tmp_path / f"{name}.gguf" for name in "abc"]
    for path in made:
        path.touch()
    return list(map(str, made))


def test_a_source_is_compared_with_its_checkpoint() -> None:
    found = lineup(["m"], ["q8_0", "q4_0"], None, SOURCES)
    assert found.baseline == Path("/checkpoints/m")
    assert found.levels == (Path("/models/m-q8_0.gguf"), Path("/models/m-q4_0.gguf"))
    assert found.converted == found.levels


def test_files_are_compared_with_the_first(files: list[str]) -> None:
    found = lineup(files, ["q8_0"], None, SOURCES)
    assert found == Lineup(Path(files[0]), (Path(files[1]), Path(files[2])))
    assert found.converted == tuple(map(Path, files))


def test_a_named_baseline_leaves_all_as_levels(files: list[str]) -> None:
    assert lineup(files[1:], [], files[0], SOURCES).levels == tuple(map(Path, files[1:]))
    assert lineup(["m"], ["q8_0"], files[0], SOURCES).baseline == Path(files[0])
    assert lineup(files, [], "other", SOURCES).baseline == Path("/checkpoints/other")


@pytest.mark.parametrize(
    ("models", "said"),
    [(["a", "b"], "2 sources were given"), (["a.gguf", "b"], "b is no model file")],
)
def test_what_cannot_be_compared_is_named(models: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        lineup(models, [], None, SOURCES)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.gguf does not exist"):
        lineup(["none.gguf"], [], None, SOURCES)
