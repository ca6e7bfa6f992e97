"""The command line: instant help, one-line mistakes, nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from profiles.cli import main, resume_command

HEAVY = ("torch", "transformers", "llama_cpp", "scipy", "matplotlib", "statsmodels", "numpy")


def error(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, profiles.cli\n"
        "try: profiles.cli.main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--levels", "q4km"], "unknown level 'q4km' for gguf; choose f32, bf16, f16, q8_0"),
        (["--methods", "beam"], "choose from 'greedy', 'majority'"),
        (["--width", "0"], "'0' is not a positive number"),
        (["--limit", "-1"], "'-1' is not a positive number"),
        (["--resume", "--force"], "contradict"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments])
    assert stopped.value.code == 2
    assert said in error(capsys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no problems"),
        ('{"question": "?", "answer": "#### 1"}\nnot json\n', "line 2 is not a problem"),
        ('{"question": "?"}\n', "line 1 is not a problem"),
    ],
)
def test_bad_data_is_one_line_and_writes_nothing(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "d.jsonl", tmp_path / "out"
    data.write_text(content)
    assert main(["run", "--data", str(data), "-o", str(out)]) == 1
    assert said in error(capsys)
    assert not out.exists()


def test_missing_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--data", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl" in error(capsys)


def test_an_existing_folder_is_kept(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(run_folder.rglob("*"))
    assert main(["run", "-o", str(run_folder)]) == 1
    assert "--resume" in error(capsys)
    assert sorted(run_folder.rglob("*")) == before


def test_report_renders_and_prints(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run_folder)]) == 0
    assert "q4_k_m" in capsys.readouterr().out
    assert main(["report", str(run_folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 42


def test_a_folder_that_is_no_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no run.json" in error(capsys)


def test_the_resume_command_repeats_what_was_asked() -> None:
    given = ["run", "--limit", "5", "-o", "my report", "--force"]
    assert resume_command(given) == "profile run --limit 5 -o 'my report' --resume"
