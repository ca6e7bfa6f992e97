"""The architecture page is true: its map is today's, and the files that it names are there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_map_is_of_today() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "architecture_map.py"))
    assert script["page"](PAGE) == PAGE, "run python docs/architecture_map.py"


def test_every_change_names_files_that_are_there() -> None:
    table = PAGE.split("## Where do I change it?")[1].split("## The map")[0]
    changes = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(changes) == 12
    for line in changes:
        named = re.findall(r"`((?:convert|runtime|methods|profiles)/[\w/.]*)`", line)
        assert 1 <= len(named) <= 2, line
        assert all((ROOT / name).exists() for name in named), line
        for name, symbol in re.findall(r"`([\w/.]+\.py)` \(`(\w+)`\)", line):
            assert symbol in (ROOT / name).read_text(encoding="utf-8"), line
