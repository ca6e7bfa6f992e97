"""Turning a question, or a conversation, into the tokens that a policy reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from convert.artifact import PromptFormat
from convert.prompt_presets import CHAT, ZERO_SHOT
from convert.refusal import Refusal
from runtime.chat_template import render
from runtime.engine import Engine, Tokenizer
from runtime.examples import EXAMPLES, Example
from runtime.valid_text import utf8

Turn = Mapping[str, str]  # role: system, user, assistant or tool; and content
WAYS = {  # how a chat is told to part its steps, by what ends one
    "\n\n": ", with a blank line between the steps",
    "\n": ", each step on a line of its own",
}
NUMBER = "a number"  # what is wanted as an answer
NO_VARIABLES: Mapping[str, Any] = {}


def prompt_format(engine: Engine) -> PromptFormat:
    """The format a model was made for, or the default one."""
    return engine.artifact.prompt or PromptFormat()


def effective_format(engine: Engine) -> PromptFormat:
    """The format in use, its template filled in; that of a chat is the model's chat template."""
    form, template = prompt_format(engine), _template(engine)
    return replace(form, template=template, name=CHAT if template is None else form.name)


def ask_as(engine: Engine, form: PromptFormat | None) -> None:
    """Have a model asked in another format from now on."""
    engine.artifact = replace(engine.artifact, prompt=form)


def is_chat(engine: Engine) -> bool:
    """Whether a model is asked in its chat template, and so ends its answer by itself."""
    return _template(engine) is None


def prompt_tokens(engine: Engine, question: str, wanted: str = NUMBER) -> list[int]:
    """Ids of the prompt: the model's own template, its chat template, or a zero-shot prompt.

    A chat is told what is `wanted` as its answer.
    """
    turns = [{"role": "user", "content": question}]
    return conversation_tokens(engine, turns, instruct=True, wanted=wanted)


def conversation_tokens(
    engine: Engine,
    turns: Sequence[Turn],
    *,
    instruct: bool = False,
    variables: Mapping[str, Any] = NO_VARIABLES,
    wanted: str = NUMBER,
) -> list[int]:
    """Ids of `conversation_text`.

    Raises:
        Refusal: for a conversation that the model's template refuses, in its words.
    """
    text = conversation_text(engine, turns, instruct=instruct, variables=variables, wanted=wanted)
    tokenizer, template = engine.tokenizer, _template(engine)
    if template is None:
        return tokenizer.encode_chat(text)
    return tokenizer.encode(text, special=_names_tokens(tokenizer, template))


def conversation_text(
    engine: Engine,
    turns: Sequence[Turn],
    *,
    instruct: bool = False,
    variables: Mapping[str, Any] = NO_VARIABLES,
    wanted: str = NUMBER,
) -> str:
    """A conversation as the model reads it, up to where it is to go on.

    With `instruct` a chat is told, in its last user turn, how to part its steps and to mark its
    answer, and gets the system message and the examples of its format. Without a chat template
    every turn is written with the model's own template, or the zero-shot prompt.
    """
    for turn in turns:
        utf8(turn["content"])  # refused here, it is not taken for the template's fault
    form, template = prompt_format(engine), _template(engine)
    if template is not None:
        return _text(form, template, turns)
    stated = json.loads(form.variables) if form.variables else {}
    given = {
        "messages": _instructed(form, turns, wanted)
        if instruct
        else [dict(turn) for turn in turns],
        "tools": None,
        "documents": None,
        "add_generation_prompt": True,
        "enable_thinking": False,
        "bos_token": engine.tokenizer.bos,
        "eos_token": engine.tokenizer.eos,
    }
    template = engine.tokenizer.chat_template or ""
    return render(engine.artifact.path.name, template, given | stated | dict(variables))


def instruction(form: PromptFormat, wanted: str = NUMBER) -> str:
    """What a chat is told: how to part its steps and to mark its answer, and what that is."""
    way = WAYS.get(form.step_stop, f", and end each step with {form.step_stop.strip()!r}")
    marker = form.answer_marker.rstrip().rstrip(":")
    end = f"End with a line that begins with '{marker}:' and gives {wanted}."
    return f"Solve the problem step by step{way}. {end}"


def _template(engine: Engine) -> str | None:
    """The text around a question; None where the model's chat template has that place."""
    form = prompt_format(engine)
    if form.template is not None:
        return form.template
    if engine.tokenizer.chat_template:
        return None
    if form.name == CHAT:
        raise Refusal(
            f"{engine.artifact.path.name} has no chat template; choose --prompt few-shot or "
            "zero-shot, or a file"
        )
    return ZERO_SHOT


def _names_tokens(tokenizer: Tokenizer, template: str) -> bool:
    """Whether a template holds control tokens, which the texts put into it may then name too."""
    return tokenizer.encode(template, special=True) != tokenizer.encode(template)


def _instructed(form: PromptFormat, turns: Sequence[Turn], wanted: str) -> list[dict[str, str]]:
    """A chat with the system message and the examples of a format, and told what it is to do."""
    told = f"\n\n{instruction(form, wanted)}"
    talk = [dict(turn) for turn in turns]
    for turn in reversed(talk):
        if turn["role"] == "user":
            turn["content"] += told
            break
    shown = []
    for example in EXAMPLES[: form.shots]:
        shown.append({"role": "user", "content": example.question + told})
        shown.append({"role": "assistant", "content": _solution(form, example)})
    if talk and talk[0]["role"] == "system":
        shown.insert(0, talk.pop(0))
    elif form.system is not None:
        shown.insert(0, {"role": "system", "content": form.system})
    return shown + talk


def _text(form: PromptFormat, template: str, turns: Sequence[Turn]) -> str:
    """A conversation without a chat template: examples before it, and its turns in order."""
    parts = [form.system] if form.system is not None else []
    for example in EXAMPLES[: form.shots]:
        shown = template.replace("{question}", example.question)
        parts.append(_answered(shown, _solution(form, example)))
    asked: str | None = None
    for turn in turns:
        if turn["role"] == "user":
            asked = template.replace("{question}", turn["content"])
            parts.append(asked)
        elif turn["role"] == "assistant" and asked is not None:
            parts[-1], asked = _answered(asked, turn["content"]), None
        else:
            parts.append(turn["content"])
    return "\n\n".join(parts)


def _answered(asked: str, answer: str) -> str:
    return asked + ("" if asked[-1:].isspace() else " ") + answer


def _solution(form: PromptFormat, example: Example) -> str:
    """An example's steps, parted as the model is to part its own, and its answer, marked."""
    stop = form.step_stop
    end = "" if stop.isspace() else f" {stop.strip()}"
    last = f"{form.answer_marker} {example.answer}."
    return (stop if stop.isspace() else "\n").join(step + end for step in (*example.steps, last))
