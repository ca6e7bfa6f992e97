"""A file is whole or not there, whenever a signal comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.files import whole


@pytest.mark.parametrize("moment", ["made", "written", "renamed"])
def test_an_interrupted_file_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / "facts.json"
    path.write_text("before")
    touch = Path.touch

    def interrupted(part: Path) -> None:
        touch(part)
        raise KeyboardInterrupt

    def refused(*_: object) -> None:
        raise KeyboardInterrupt

    if moment == "made":
        monkeypatch.setattr(Path, "touch", interrupted)
    if moment == "renamed":
        monkeypatch.setattr("convert.files.os.replace", refused)
    with pytest.raises(KeyboardInterrupt), whole(path) as part:  # noqa: PT012
        part.write_text("half")
        if moment == "written":
            raise KeyboardInterrupt
    assert [found.name for found in tmp_path.iterdir()] == ["facts.json"]
    assert path.read_text() == "before"
