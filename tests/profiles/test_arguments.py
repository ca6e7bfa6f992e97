"""The subcommands with a module of their own: instant help, one-line mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from profiles.cli import main
from profiles.reference_text import benchmark_solutions, read_text

COMMANDS = ("fidelity", "reward-grid", "latency")
HEAVY = ("torch", "transformers", "llama_cpp", "scipy", "matplotlib", "numpy")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    program = (
        "import sys, profiles.cli\n"
        f"try: profiles.cli.main([{command!r}, '--help'])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "examples:" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--levels", "q4km"], "unknown level 'q4km'"),
        (["-o", "f.txt"], "does not end in .json, .csv, .md"),
        (["--threads", "0"], "'0' is not a positive number"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    command: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_the_default_text_is_what_the_policy_was_trained_to_write(solutions: list[str]) -> None:
    text = benchmark_solutions()
    assert all(solution in text.content for solution in solutions)
    assert text.content.startswith("Anna bakes 6 cakes")
    assert text.context == 128


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"a\r\nb\n")
    assert read_text(tmp_path / "t").content == "a\r\nb\n"
    (tmp_path / "t").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        read_text(tmp_path / "t")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["latency", "--decode", "256"], "'256' is not a positive number (at most 255)"),
        (["drift", "--problems", "300"], "'300' is not a positive number (at most 256)"),
        (["recommend", "--vram", "1e308"], "'1e308' is no size in GiB"),
        (["recommend", "--vram", "-1"], "'-1' is not a positive number"),
        (["run", "--temperature", "-1"], "'-1' is not a number from 0"),
        (["run", "--top-p", "2"], "'2' is not a number above 0 and at most 1"),
        (["run", "--max-tokens", "0"], "'0' is not a positive number"),
    ],
)
def test_a_number_that_cannot_be_is_bad_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_run_with_a_tree_wider_than_the_branches_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "report")
    assert main(["run", "--methods", "rebase", "--width", "4", "200", "-o", out]) == 1
    assert "choose 127 at most" in capsys.readouterr().err
