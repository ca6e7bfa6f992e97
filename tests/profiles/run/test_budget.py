"""A budget of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiles import cli


def test_seconds_are_no_budget_of_questions_asked_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "--budget", "5s", "--parallel", "4", "-o", str(tmp_path / "out")]
    assert cli.main(run) == 1
    assert "choose tokens or operations, like 2000tok or 4T" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli.main(["run", "--budget", "5 apples"])
    assert "'5 apples' cannot be read; choose like 2000tok" in capsys.readouterr().err


def test_a_width_of_a_method_that_does_not_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "--methods", "greedy", "--width", "4", "rebase=8", "-o", str(tmp_path / "out")]
    assert cli.main(run) == 1
    assert "--width rebase=8 has no effect: add rebase to --methods" in capsys.readouterr().err
