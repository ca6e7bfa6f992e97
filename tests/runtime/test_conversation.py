"""Conversations and examples, with a chat template and without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convert.artifact import PromptFormat
from convert.prompt_presets import PRESETS
from convert.refusal import Refusal
from runtime.prompt import conversation_text, conversation_tokens, instruction, prompt_tokens
from runtime.scripted_engine import ScriptedEngine

SPELLED = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ tone }}{{ '|' }}"
USER = {"role": "user", "content": "Why?"}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "1."},
    USER,
]


def _engine(form: PromptFormat | None, template: str | None = None) -> Any:
    engine = ScriptedEngine({})
    engine.artifact = replace(engine.artifact, prompt=form)
    engine.tokenizer.chat_template = template
    return engine


def _prompt(form: PromptFormat | None, template: str | None = None) -> str:
    engine = _engine(form, template)
    return engine.tokenizer.decode(prompt_tokens(engine, "Why?"))


def test_examples_are_written_a_step_a_line() -> None:
    first, second, *_, last = _prompt(PRESETS["few-shot"]).split("\n\n")
    assert first == (
        "Q: There are 15 trees in the grove. Grove workers will plant trees in the grove today. "
        "After they are done, there will be 21 trees. How many trees did the grove workers plant "
        "today?\nA: There are 15 trees originally.\nThen there were 21 trees after some more were "
        "planted.\nSo there must have been 21 - 15 = 6.\nThe answer is 6."
    )
    assert second.startswith("Q: If there are 3 cars")
    assert last == "Q: Why?\nA:"
    assert len(_prompt(PRESETS["few-shot"]).split("Q:")) == 10
    assert _prompt(replace(PRESETS["few-shot"], shots=0)) == "Q: Why?\nA:"


def test_examples_end_their_steps_as_the_model_is_to() -> None:
    form = PromptFormat("{question}\n", "ки", "The answer is:", shots=2, system="Do sums.")
    first, second, third, last = _prompt(form).split("\n\n")
    assert first == "Do sums."
    assert second.endswith("21 - 15 = 6. ки\nThe answer is: 6. ки")
    assert third.endswith(
        "\nThere are originally 3 cars. ки\n2 more cars arrive. ки\n"
        "3 + 2 = 5. ки\nThe answer is: 5. ки"
    )
    assert last == "Why?\n"


def test_a_chat_gets_system_examples_and_variables() -> None:
    form = PromptFormat(
        step_stop="\n", answer_marker="Result:", system="Hi.", shots=1, variables='{"tone": "dry"}'
    )
    told = "Solve the problem step by step, each step on a line of its own. End with a line "
    told += "that begins with 'Result:' and gives a number."
    assert instruction(form) == told
    system, user, assistant, asked = _prompt(form, SPELLED).split("<")[1:]
    assert system == "system>Hi."
    assert user.startswith("user>There are 15 trees in the grove.")
    assert user.endswith(f"today?\n\n{told}")
    assert assistant.endswith("= 6.\nResult: 6.")
    assert asked == f"user>Why?\n\n{told}dry|"


def test_a_conversation_in_a_chat_template() -> None:
    engine = _engine(PRESETS["chat"], SPELLED)
    bare = "<system>Be brief.<user>One?<assistant>1.<user>Why?"
    assert conversation_text(engine, TALK) == f"{bare}|"
    assert conversation_text(engine, TALK, variables={"tone": "wry"}) == f"{bare}wry|"
    told = instruction(PromptFormat())
    assert conversation_text(engine, TALK, instruct=True) == f"{bare}\n\n{told}|"
    assert conversation_tokens(engine, [USER], instruct=True) == prompt_tokens(engine, "Why?")


def test_a_conversation_without_one() -> None:
    engine = _engine(PromptFormat("{question}\n"))
    assert conversation_text(engine, TALK) == "Be brief.\n\nOne?\n1.\n\nWhy?\n"
    assert conversation_tokens(engine, [USER]) == prompt_tokens(engine, "Why?")
    assert _prompt(None) == "Q: Why?\nA: Let's think step by step."


def test_a_chat_without_a_template_is_refused() -> None:
    with pytest.raises(Refusal, match=r"script has no chat template; choose --prompt few-shot"):
        _prompt(PRESETS["chat"])


def test_the_whole_chat_is_refused_in_the_templates_words() -> None:
    engine = _engine(None, "{{ raise_exception('roles must alternate') }}")
    with pytest.raises(Refusal, match=r"refuses: roles must alternate"):
        conversation_text(engine, TALK)
