"""Models in each other's place: refused before either is opened, in every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert.reward_presets import NAMED, NamedReward, math_shepherd
from methods.cli import main
from tests.conftest import REFERENCE

QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?"
SCORES = {"kind": "token_logits", "step_tag": " ки", "between": "\n", "good_id": 312, "bad_id": 325}


@pytest.fixture
def model(reference: Callable[[str, str], Path]) -> Callable[[str, str], str]:
    """The path of a reference model in a format."""

    def path(role: str, form: str) -> str:
        if form == "torch":
            return str(REFERENCE / role)
        if form == "onnx":
            pytest.importorskip("onnx")
        return str(reference(role, {"gguf": "q8_0", "onnx": "int8"}[form]))

    return path


@pytest.fixture
def protocol(tmp_path: Path) -> str:
    (tmp_path / "scores.json").write_text(json.dumps({"reward": SCORES}))
    return str(tmp_path / "scores.json")


@pytest.mark.parametrize("form", ["gguf", "onnx", "torch"])
def test_each_in_the_others_place(
    model: Callable[[str, str], str], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    assert main([QUESTION, "--policy", model("reward", form), "--method", "greedy"]) == 1
    said = capsys.readouterr().err
    assert "is a reward model: it scores steps and writes none; give it as --reward" in said
    assert main([QUESTION, "--reward", model("policy", form)]) == 1
    said = capsys.readouterr().err
    assert "is a policy, not a reward model" in said
    assert "--protocol FILE" in said


@pytest.mark.parametrize("form", ["gguf", "onnx", "torch"])
def test_a_stated_protocol_makes_a_reward_model(
    model: Callable[[str, str], str],
    protocol: str,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    judge = model("policy", form)
    arguments = [QUESTION, "--reward", judge, "--protocol", protocol, "--width", "2", "--json"]
    assert main([*arguments, "--max-tokens", "24"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    scores = [score for one in document["candidates"] for score in one["scores"]]
    assert scores
    assert all(0 <= score <= 1 for score in scores)


def test_a_protocol_that_the_model_cannot_fulfil(
    model: Callable[[str, str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scores.json"

    def said(document: object) -> str:
        path.write_text(json.dumps(document))
        given = [QUESTION, "--reward", model("policy", "gguf"), "--protocol", str(path)]
        assert main(given) == 1
        return capsys.readouterr().err

    assert "has no reward head, which kind value reads" in said(
        {"reward": {"kind": "value", "step_tag": "\n"}}
    )
    assert "--protocol gives reward.good_id 5000" in said({"reward": SCORES | {"good_id": 5000}})
    assert "does not say how a model scores" in said({"role": "reward"})
    path.unlink()
    assert main([QUESTION, "--protocol", str(path)]) == 1
    assert "does not exist; give a file, math-shepherd or rlhflow" in capsys.readouterr().err


def test_a_preset_by_name(
    model: Callable[[str, str], str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = [QUESTION, "--reward", model("policy", "gguf"), "--width", "2", "--max-tokens", "24"]
    assert main([*given, "--protocol", "math-shepherd"]) == 1
    assert "not + and -: the preset is for another vocabulary" in capsys.readouterr().err
    ours = math_shepherd(312, 325)  # of this vocabulary
    monkeypatch.setitem(NAMED, "yes-no", NamedReward(ours, "Yes", "No"))
    assert main([*given, "--protocol", "yes-no"]) == 1
    assert "has '+' and '-' as tokens 312 and 325, not Yes and No" in capsys.readouterr().err
    monkeypatch.delitem(NAMED, "yes-no")
    monkeypatch.setitem(NAMED, "math-shepherd", NamedReward(ours))
    assert main([*given, "--protocol", "math-shepherd", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["candidates"][0]["scores"]
