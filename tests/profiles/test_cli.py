"""The command line: instant help, one-line mistakes, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from methods.arguments import warn_unused
from methods.catalog import ProtocolName
from profiles.cli import main, parser
from profiles.records.record import read_records
from profiles.run.arguments import unused
from profiles.run.command import resume_command

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
        (["--methods", "mcts"], "choose from 'greedy', 'majority'"),
        (["--width", "0"], "'0' is not a positive number"),
        (["--width", "8", "mcts=8"], "unknown method 'mcts'; choose greedy, majority"),
        (["--width", "majority=0"], "'0' is not a positive number"),
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
        ("not json\n", "holds no problems: line 1: Expecting value"),
        ('{"question": "?"}\n', "line 1: 'answer' is no text but missing or null"),
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


def test_the_papers_protocol_keeps_its_first_name() -> None:
    words = ("fair", "paper", "seed")
    found = [parser().parse_args(["run", "--protocol", word]).protocol for word in words]
    assert found == [ProtocolName.FAIR, ProtocolName.PAPER, ProtocolName.PAPER]


def test_the_resume_command_repeats_what_was_asked() -> None:
    given = ["run", "--limit", "5", "-o", "my report", "--force"]
    assert resume_command(given) == "profile run --limit 5 -o 'my report' --resume"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--policy", "a/checkpoint", "b/checkpoint"], "2 sources were given; choose one"),
        (["run", "--policy", "a.gguf", "b/checkpoint"], "b/checkpoint is no model file"),
        (
            ["run", "--methods", "majority", "--width", "5000", "--max-tokens", "5000"],
            "16777216 are the most; lower",
        ),
        (["run", "--methods", "rebase", "--width", "5000"], "choose 127 at most"),
        (["run", "--protocol", "paper", "--methods", "best-of-n"], "choose majority or rebase"),
        (["run", "--data", "/dev/zero"], "/dev/zero is a pipe or a device; give a file"),
        (["reward-grid", "-n", "5000", "--max-tokens", "5000"], "16777216 are the most; lower"),
        (["tree", "x.json", "--question", "3"], "holds one search; leave it out"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert said in error(capsys)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("given", "idle"),
    [
        (["--methods", "greedy", "majority", "--reward", "r.gguf"], ["--reward"]),
        (["--methods", "majority", "--balance", "1"], ["--balance"]),
        (["--methods", "greedy", "--width", "4"], ["--width"]),
        (["--thinker", "t.gguf"], ["--thinker"]),
        (["--think", "on", "--gate", "0.5"], ["--gate"]),
        (["--policy", "a.gguf", "--levels", "q8_0"], ["--levels"]),
        (["--protocol", "paper", "--top-p", "0.9"], ["--top-p"]),
        (["--suite", "paper", "--methods", "greedy"], ["--methods"]),
        (["--formats", "onnx", "--kv-types", "q8_0"], ["--kv-types"]),
        (["--policy", "a.onnx", "--kv-types", "q8_0"], ["--kv-types"]),
        (["--policy", "a.gguf", "--kv-types", "f16", "q8_0"], []),
        (["--think", "gated", "--gate", "0.5", "--reward", "r.gguf", "--balance", "1"], []),
    ],
)
def test_arguments_without_effect_are_named(
    given: list[str], idle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = parser().parse_args(["run", *given])
    warn_unused("profile", given, unused(options))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2].removesuffix(" has no effect") for line in lines] == idle


def test_a_name_that_is_not_utf8_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--data", os.fsdecode(b"\xff.jsonl")])
    assert stopped.value.code == 2
    assert "is not UTF-8 text; rename the file" in error(capsys)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_says_how_it_goes_on(
    how: signal.Signals,
    tmp_path: Path,
    reference: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object) -> None:
        signal.raise_signal(how)

    monkeypatch.setattr("profiles.run.runner.run_all", stop)
    given = ["run", "--policy", str(reference("policy", "q8_0")), "--methods", "greedy"]
    assert main([*given, "-o", str(tmp_path / "out")]) == 128 + how
    assert "kept what is done; go on with: profile run --policy" in capsys.readouterr().err


def test_questions_that_cannot_be_asked_fail_alone(
    tmp_path: Path, reference: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Counted as wrong, under the id of their line; one of a million characters too."""
    good = '{"question": "Ann has 2 pens and buys 3 more. How many pens?", "answer": "#### 5"}\n'
    long = json.dumps({"question": "a" * 1_000_000, "answer": "#### 5"}) + "\n"
    data = tmp_path / "d.jsonl"
    content = f'{good}null\n{{"question": 3}}\n{{"question": "\\ud800", "answer": "#### 1"}}\n'
    data.write_bytes(
        content.encode() + b'{"question": "\xff", "answer": "#### 1"}\n' + long.encode()
    )
    command = ["run", "--policy", str(reference("policy", "q8_0")), "--methods", "greedy"]
    command += ["--device", "cpu", "--data", str(data), "-o", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    said = capsys.readouterr()
    (row,) = json.loads(said.out)["rows"]
    assert (row["n"], row["failed"]) == (6, 5)
    assert "warning: 4 questions count as wrong: line 2: not a table" in said.err
    (path,) = (tmp_path / "out" / "records").glob("*.jsonl")
    failed = {record.id: record.failed for record in read_records(path)}
    assert failed["0"] is None
    assert failed["2"] == "line 3: 'question' is no text but a number"
    assert "tokens and the KV cache holds" in (failed["5"] or "")
