"""What a command line says of a prompt."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from convert.artifact import PromptFormat
from convert.prompt_presets import PRESETS
from convert.refusal import Refusal
from methods.prompt_arguments import add_prompt, changes, form_named
from methods.token_limits import context_tokens, path_tokens, step_tokens

OWN = PromptFormat("{question}\n", "ки", "The answer is:")


def _applied(own: PromptFormat | None, *given: str) -> PromptFormat | None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_prompt(parser.add_argument_group())
    return changes(parser.parse_args(given)).applied(own)


def test_nothing_given_changes_nothing() -> None:
    assert _applied(OWN) is OWN
    assert _applied(None) is None


def test_parts_change_what_they_name() -> None:
    found = _applied(OWN, "--step-stop", r"\n", "--few-shot", "4", "--system", r"a\\n\tb")
    assert found == PromptFormat("{question}\n", "\n", "The answer is:", shots=4, system="a\\n\tb")
    assert _applied(OWN, "--answer-marker", "So") == PromptFormat("{question}\n", "ки", "So")
    chosen = _applied(OWN, "--prompt", "few-shot", "--few-shot", "0")
    assert chosen == PromptFormat("Q: {question}\nA:", "\n", name="few-shot")


def test_variables_of_a_chat_template() -> None:
    given = ("enable_thinking=True", "depth=3", "tone=dry", 'tags=["a"]', "empty=")
    flags = [word for one in given for word in ("--template-arg", one)]
    found = _applied(PromptFormat(variables='{"depth": 1, "kept": null}'), *flags)
    assert found is not None
    assert json.loads(found.variables or "") == {
        "enable_thinking": True, "depth": 3, "tone": "dry", "tags": ["a"], "empty": "",
        "kept": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "given", [["--template-arg", "x"], ["--template-arg", "=1"], ["--step-stop", ""],
              ["--few-shot", "9"], ["--few-shot", "-1"]]
)  # fmt: skip
def test_what_makes_no_sense_is_refused_where_it_is_given(given: list[str]) -> None:
    with pytest.raises(argparse.ArgumentError):
        _applied(None, *given)


def test_prompts_from_files(tmp_path: Path) -> None:
    assert form_named("chat") == PRESETS["chat"]
    (tmp_path / "p.txt").write_bytes(b"Q: {question}\r\nA:\n")
    assert form_named(str(tmp_path / "p.txt")) == PromptFormat("Q: {question}\nA:")
    path = tmp_path / "p.json"
    for document in ({"step_stop": "\n"}, {"role": "policy", "prompt": {"step_stop": "\n"}}):
        path.write_text(json.dumps(document))
        assert form_named(str(path)) == PromptFormat(step_stop="\n")
    path.write_text('{"stop": "x"}')
    with pytest.raises(Refusal, match=r"p.json gives prompt.stop; choose template, step_stop"):
        form_named(str(path))
    (tmp_path / "p.txt").write_text("Q: A:")
    with pytest.raises(Refusal, match=r"p.txt gives prompt.template without \{question\}"):
        form_named(str(tmp_path / "p.txt"))
    with pytest.raises(Refusal, match=r"nothing is no file and no prompt; choose chat, zero-shot"):
        form_named("nothing")


def test_chat_models_get_longer_paths_and_the_cache_for_them() -> None:
    chat = PRESETS["chat"]
    assert (path_tokens(None, None), step_tokens(OWN, None)) == (256, 96)
    assert (path_tokens(chat, None), step_tokens(chat, None)) == (1024, 256)
    assert (path_tokens(chat, 10), step_tokens(chat, 20)) == (10, 20)
    assert context_tokens(OWN, 64, 256) == 4096
    assert context_tokens(chat, 8, 1024) == 1024 + 8 * 1024
    assert context_tokens(chat, 64, 1024) == 32768
