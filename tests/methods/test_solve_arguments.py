"""What `solve` refuses before it opens anything, and what it says of arguments without effect."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.artifact import RewardProtocol
from convert.refusal import Refusal
from methods import catalog
from methods.build import MethodSpec
from methods.candidate import Answer, Candidate
from methods.cli import _question, main
from methods.show import report
from methods.solve_arguments import parser, unused
from runtime.engine import Branch, Step, Usage

HOSTILE = "\x1b]0;x\x07\x9b31m"


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--temperature", "nan", "is not a number from 0"),
        ("--temperature", "-1", "is not a number from 0"),
        ("--temperature", "inf", "is not a number from 0"),
        ("--temperature", "1e-320", "is below 0.0001; choose 0 for greedy"),
        ("--thought-temperature", "nan", "is not a number from 0"),
        ("--gate", "nan", "is not a number from 0"),
        ("--top-p", "0", "is not a number above 0 and at most 1"),
        ("--top-p", "1.1", "is not a number above 0 and at most 1"),
        ("--top-p", "nan", "is not a number above 0 and at most 1"),
        ("--balance", "0", "is not a positive number"),
        ("--balance", "nan", "is not a positive number"),
        ("--width", "0", "is not a positive number"),
        ("--width", "1000000000", "at most 10000"),
        ("--width", "9" * 5000, "at most 10000"),
        ("--context", "0", "is not a positive number"),
        ("--context", "1000000000000", "at most 16777216"),
        ("--max-tokens", "0", "is not a positive number"),
        ("--step-tokens", "0", "is not a positive number"),
        ("--threads", "0", "is not a positive number"),
        ("--threads", "1000000000", "at most 512"),
        ("--gpu-layers", "-1", "is not a whole number from 0"),
        ("--seed", "-1", "is not a whole number from 0"),
        ("--method", HOSTILE, "invalid choice"),
    ],
)
def test_bad_numbers_are_one_line_and_exit_code_2(
    flag: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["How many?", flag, value])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


class Bytes:
    """Standard input that holds bytes."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def test_the_question_comes_from_standard_input_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Bytes("Combien d\u2019\u0153ufs ?\n".encode()))
    assert _question("-") == "Combien d\u2019\u0153ufs ?"


@pytest.mark.parametrize(
    ("question", "content", "said"),
    [
        ("-", b"\xff\xfe?", "the question is not UTF-8 text"),
        ("-", b" \n", "the question is empty"),
        ("-", None, "standard input is closed"),
        (os.fsdecode(b"How many \xff?"), b"", "the question is not UTF-8 text"),
    ],
)
def test_a_bad_question_is_one_line(
    question: str,
    content: bytes | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", None if content is None else Bytes(content))
    assert main([question]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_question_without_an_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("methods.cli.QUESTION_BYTES", 10)
    monkeypatch.setattr("sys.stdin", Bytes(b"a" * 11))
    assert main(["-"]) == 1
    assert "more than 10 bytes" in capsys.readouterr().err


def test_a_tree_that_cannot_be_written_is_refused_before_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "old.json").write_text("mine")
    for path, extra, said in (
        (tmp_path / "pipe", ["--force"], "pipe is a pipe or a device; give a file"),
        (Path("/dev/full"), ["--force"], "/dev/full is a pipe or a device"),
        (tmp_path / "old.json", [], "give --force"),
        (tmp_path / "none" / "tree.json", [], "none is not a folder"),
    ):
        assert main(["How many?", "--tree", str(path), *extra]) == 1
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    assert (tmp_path / "old.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("given", "idle"),
    [
        (["--method", "majority", "--reward", "r.gguf", "--balance", "1"], ["--reward, --balance"]),
        (["--method", "greedy", "--width=4", "--top-p", "0.9"], ["--width, --top-p"]),
        (["--gate", "0.5"], ["--gate"]),
        (["--think", "gated", "--gate", "0.5", "--balance", "1", "--reward", "r.gguf"], []),
    ],
)
def test_arguments_without_effect(
    given: list[str], idle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from methods.arguments import warn_unused

    options = parser().parse_args(["How many?", *given])
    warn_unused("solve", given, unused(options))
    err = capsys.readouterr().err
    named = [line.split(": ")[2].removesuffix(" has no effect") for line in err.splitlines()]
    assert sorted(", ".join(named).split(", ")) == sorted(", ".join(idle).split(", "))


def test_no_escape_sequence_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out of the answer's text; nor out of the name of a file that is not there."""
    step = Step(f"The answer is {HOSTILE}: 5", (1,), (-0.1,), "eos")
    said = Answer(
        f"5{HOSTILE}", "greedy", (Candidate(Branch(1), (step,), (0.5,), True),) * 2, Usage(),
        Usage(), 1.0, 0.0, 0.1,
    )  # fmt: skip
    assert "\x1b" in report(said)
    monkeypatch.setattr("methods.cli._answer", lambda *_: said)
    for extra in ([], ["--json"]):
        assert main(["How many?", *extra]) == 0
        out = capsys.readouterr().out
        assert "\\u001b]0;x\\u0007" in out
        assert not {"\x1b", "\x07", "\x9b"} & set(out)
    monkeypatch.undo()
    assert main(["How many?", "--policy", f"{HOSTILE}.gguf"]) == 1
    assert not {"\x1b", "\x07", "\x9b"} & set(capsys.readouterr().err)


def test_a_reward_models_protocol_says_how_scores_become_one(
    reference: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`solve` without --aggregation, on a model whose protocol says min."""
    import json
    import math

    from methods.scorers import ProcessRewardScorer

    original = ProcessRewardScorer.__init__

    def cautious(self: ProcessRewardScorer, *rest: object) -> None:
        original(self, *rest)  # type: ignore[arg-type]
        protocol = self._protocol
        self._protocol = RewardProtocol(
            protocol.kind, protocol.step_tag, protocol.template, protocol.join,
            protocol.good_id, protocol.bad_id, aggregation="min",
        )  # fmt: skip

    monkeypatch.setattr(ProcessRewardScorer, "__init__", cautious)
    models = ["--policy", str(reference("policy", "q8_0")), "--device", "cpu", "--threads", "1"]
    models += ["--reward", str(reference("reward", "q8_0")), "--width", "3", "--json"]
    question = "Mia bakes 6 trays of 8 rolls and sells 20 of them. How many rolls are left?"
    assert main([question, *models]) == 0
    for path in json.loads(capsys.readouterr().out)["candidates"]:
        assert math.isclose(path["score"], min(path["scores"]))
    assert main([question, *models, "--aggregation", "last"]) == 0
    for path in json.loads(capsys.readouterr().out)["candidates"]:
        assert path["score"] == path["scores"][-1]


def test_a_tree_wider_than_the_branches_is_refused_before_a_model_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "p.gguf"
    policy.write_bytes(b"never read")
    assert main(["How many?", "--policy", str(policy), "--width", "200"]) == 1
    assert "--width 200 of rebase needs 402 branches at once" in capsys.readouterr().err
    assert catalog.MAJORITY.search.branches(200) == 256  # they come in waves


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("temperature", -1.0, "temperature -1.0 is not a number from 0"),
        ("top_p", 2.0, "top_p 2.0 is not above 0 and at most 1"),
        ("max_tokens", 0, "max_tokens 0 is not positive"),
        ("step_tokens", 0, "max_tokens 0 is not positive"),
        ("width", 0, "width 0 is not positive"),
        ("balance", 0.0, "balance 0.0 is not a positive number"),
    ],
)
def test_a_description_is_judged_where_it_is_made(field: str, value: float, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        MethodSpec("rebase", **{field: value})  # type: ignore[arg-type]
