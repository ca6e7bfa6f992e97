"""`solve` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from methods.cli import main

QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20 of them. How many rolls are left?"


@pytest.fixture
def models(reference: Callable[[str, str], Path]) -> list[str]:
    policy, reward = reference("policy", "q8_0"), reference("reward", "q8_0")
    return ["--policy", str(policy), "--reward", str(reward), "--device", "cpu", "--threads", "1"]


@pytest.mark.parametrize("method", ["greedy", "majority", "best-of-n", "weighted", "rebase"])
def test_every_method_answers(
    models: list[str], method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([QUESTION, "--method", method, *models]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Answer: 28\n")
    assert "Cost:" in out
    assert "CPU, 1 thread" in err
    assert ("reward" in out) == (method in ("best-of-n", "weighted", "rebase"))


def test_json_and_tree(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tree.json"
    assert main([QUESTION, "--json", "--tree", str(path), *models]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["answer"] == "28"
    assert len(document["candidates"]) == 8
    tree = json.loads(path.read_text())
    assert [level["depth"] for level in tree["levels"]] == list(range(1, len(tree["levels"]) + 1))
    for before, level in zip(tree["levels"], tree["levels"][1:], strict=False):
        parents = {c["branch"] for c in before["candidates"]}
        assert {c["parent"] for c in level["candidates"]} <= parents
        assert sum(level["widths"]) == level["budget"] == len(level["candidates"])
    assert main([QUESTION, "--tree", str(path), *models]) == 1
    assert "--force" in capsys.readouterr().err


def test_runs_repeat(
    models: list[str], questions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for seed in ("3", "3", "4"):
        assert main([questions[0], "--json", "--seed", seed, *models]) == 0
        document = json.loads(capsys.readouterr().out)
        found.append([[s["text"] for s in c["steps"]] for c in document["candidates"]])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--policy", "none.gguf"], "none.gguf does not exist"),
        (
            ["--policy", "reference:nobody"],
            "choose reference:policy, reference:reward or reference:thinker",
        ),
        (["--quant", "q9", "--policy", "reference:policy"], "unknown level 'q9'"),
        (["--context", "256", "--question-repeat", "40"], "raise --context"),
    ],
)
def test_errors_are_one_line(
    models: list[str], extra: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    question = QUESTION
    if "--question-repeat" in extra:
        question, extra = QUESTION * int(extra[-1]), extra[:-2]
    assert main([question, *models, *extra]) == 1
    errors = [e for e in capsys.readouterr().err.splitlines() if e.startswith("solve: error")]
    assert len(errors) == 1
    assert message in errors[0]


def test_only_a_reference_policy_has_a_reward_model_of_its_own(
    models: list[str],
    reference: Callable[[str, str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = reference("policy", "q8_0").read_bytes()
    path = tmp_path / "foreign.gguf"
    path.write_bytes(content.replace(b"reference:policy", b"someone/a-policy"))
    arguments = [QUESTION, "--policy", str(path), *models[4:]]
    assert main([*arguments, "--method", "majority"]) == 0
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert (
        "give --reward, --reward logprob-mean to do without one, or choose --method greedy" in said
    )


def test_bad_usage_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([QUESTION, "--method", "mcts"])
    assert stop.value.code == 2
    assert "rebase" in capsys.readouterr().err


def test_help_is_instant() -> None:
    code = (
        "import sys; from methods.cli import parser; parser().format_help();"
        "print([m for m in ('torch', 'llama_cpp', 'numpy', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_thinking_is_shown_and_booked(
    reference: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--policy", str(reference("thinker", "q8_0")), "--device", "cpu", "--threads", "1"]
    models += ["--reward", str(reference("reward", "q8_0"))]
    for think in ("on", "gated"):
        assert main([QUESTION, "--think", think, "--width", "4", *models]) == 0
        out, _ = capsys.readouterr()
        assert out.startswith("Answer: 28\n")
        assert "thought tokens, in" in out
        assert "thought" not in out.split("Votes")[0]  # of the text itself nothing is seen
    assert main([QUESTION, "--think", "gated", "--gate", "1.5", *models]) == 1
    assert "gate 1.5 by probability: choose 0 to 1" in capsys.readouterr().err
    assert main([QUESTION, "--think", "on", "--policy", str(reference("policy", "q8_0"))]) == 1
    assert "is no Quiet-STaR model: it cannot think" in capsys.readouterr().err


def test_the_prompt_is_shown(models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([QUESTION, "--show-prompt", *models]) == 0
    assert capsys.readouterr().out.startswith(f"{QUESTION}\n\n\nformat: the model's own\n")
    given = ["--prompt", "few-shot", "--few-shot", "2", "--system", "Sums.", "--json"]
    assert main([QUESTION, "--show-prompt", *given, *models]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["text"].startswith("Sums.\n\nQ: There are 15 trees")
    assert document["text"].endswith(f"\n\nQ: {QUESTION}\nA:")
    assert document["format"]["step_stop"] == "\n"
    assert (document["token_ids"][0], document["end_ids"]) == (1, [2])


def test_a_search_that_never_branched_is_told(
    models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([QUESTION, "--step-stop", "never", *models]) == 0
    said = "solve: warning: every path was one step, so that nothing was searched; say what ends"
    assert f"{said} a step with --step-stop (now 'never')" in capsys.readouterr().err
    assert main([QUESTION, *models]) == 0
    assert "warning" not in capsys.readouterr().err
