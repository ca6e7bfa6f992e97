"""The page that a run on a card writes: every step's table under words that say what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gpu import page

LOGS = {
    "models": "wrote a model",
    "tests": "2 passed",
    "rebase": "loading\n| level | where |\n|---|---|\n| q4_k_m | CPU |",
    "latency": "wrote a table",
    "parallel": "one at a time: 3.00 questions/min",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, said in LOGS.items():
        (tmp_path / f"{name}.log").write_text(said + "\n", encoding="utf-8")
    codes = {"tests": 1, "parallel": 124}
    steps = [f"{name}\t7\t{codes.get(name, 0)}\n" for name in LOGS]
    (tmp_path / "steps.tsv").write_text("".join(steps), encoding="utf-8")
    (tmp_path / "latency.md").write_text("| model |\n|---|\n| large |\n\n- Ran on CPU.\n")
    (tmp_path / "gpu.md").write_text(
        f"before\n{page.BEGIN}\nof an earlier run\n{page.END}\nafter\n"
    )
    return tmp_path


def test_what_stood_between_the_marks_gives_way_to_the_steps(folder: Path) -> None:
    page.main([str(folder), str(folder / "gpu.md")])
    text = (folder / "gpu.md").read_text(encoding="utf-8")
    assert text.startswith(f"before\n{page.BEGIN}\n")
    assert text.endswith(f"\n{page.END}\nafter\n")
    assert "of an earlier run" not in text
    for line in ("models | 7 | well", "tests | 7 | exit code 1", "parallel | 7 | out of time"):
        assert f"\n| {line} |\n" in text


def test_each_table_stands_under_what_it_means(folder: Path) -> None:
    first, *found = page.sections(folder).split("\n\n### ")
    assert "### " not in first
    assert [text.split("\n")[0] for text in found] == [
        page.SECTIONS[name][0] for name in LOGS if name in page.SECTIONS
    ]
    shown = {text.split("\n\n")[0]: text.split("\n\n", 2)[1:] for text in found}
    for name, (title, meaning) in page.SECTIONS.items():
        assert name not in LOGS or shown[title][0] == meaning
    assert shown[page.SECTIONS["rebase"][0]][1] == LOGS["rebase"].removeprefix("loading\n")
    assert shown[page.SECTIONS["latency"][0]][1] == ("| model |\n|---|\n| large |\n\n- Ran on CPU.")
    assert shown[page.SECTIONS["parallel"][0]][1] == "    " + LOGS["parallel"]


def test_no_commit_is_told_outside_a_checkout(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profiles.environment.commit", lambda: None)
    assert "None" not in page.sections(folder).split("\n")[0]
