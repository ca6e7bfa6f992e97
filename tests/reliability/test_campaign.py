"""A part of the campaign on damaged files; the whole is run by hand (docs/reliability.md)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.reliability.campaign import campaign, judge
from tests.reliability.targets import TARGETS, prepare

CASES, SECONDS = 160, 100.0


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and limits memory")
def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    prepare(base)
    outcomes, faults = campaign(CASES, 2026, base, seconds=SECONDS)
    assert faults == []
    refused = sum(count for name, count in outcomes.items() if name.endswith("refused"))
    assert refused > outcomes.total() // 2
    assert len({name.split(":")[0] for name in outcomes}) > len(TARGETS) // 2


def test_faults_are_told_apart(tmp_path: Path) -> None:
    assert judge(tmp_path, 1, b"convert: error: no\n") == ""
    assert judge(tmp_path, None, b"") == "hang"
    assert judge(tmp_path, -11, b"") == "signal 11"
    assert judge(tmp_path, 1, b"Traceback (most recent call last)") == "traceback"
    assert judge(tmp_path, 139, b"") == "exit code 139"
    for said in (b"\x1b[31m", b"\x07", "\x9b31m".encode()):
        assert judge(tmp_path, 0, said) == "escape sequence"
    assert judge(tmp_path, 0, "Größe ки\r\n\t".encode()) == ""
    (tmp_path / "x.gguf.part").touch()
    assert judge(tmp_path, 1, b"") == "half file"
