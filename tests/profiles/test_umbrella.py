"""All commands under one name."""

from __future__ import annotations

import sys

import pytest

from profiles.umbrella import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["starbase-edge"])
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name}")


def test_another_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["nonsense"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'convert', 'solve', 'serve', 'profile'" in said
