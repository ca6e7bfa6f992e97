"""Turning a question into the tokens that a policy reads."""

from __future__ import annotations

from convert.artifact import PromptFormat
from runtime.chat_template import render
from runtime.engine import Engine
from runtime.valid_text import utf8

ZERO_SHOT = "Q: {question}\nA: Let's think step by step."  # zero-shot chain of thought
INSTRUCTION = (
    "Solve the problem step by step, with a blank line between the steps. "
    "End with a line 'The answer is: N', where N is a number."
)


def prompt_format(engine: Engine) -> PromptFormat:
    """The format a model was made for, or the default one."""
    return engine.artifact.prompt or PromptFormat()


def prompt_tokens(engine: Engine, question: str) -> list[int]:
    """Ids of the prompt: the model's own template, its chat template, or a zero-shot prompt."""
    utf8(question)  # refused here, it is not taken for the template's fault
    template = prompt_format(engine).template
    if template is None and engine.tokenizer.chat_template:
        return engine.tokenizer.encode_chat(_chat(engine, question))
    return engine.tokenizer.encode((template or ZERO_SHOT).replace("{question}", question))


def _chat(engine: Engine, question: str) -> str:
    tokenizer = engine.tokenizer
    variables = {
        "messages": [{"role": "user", "content": f"{question}\n\n{INSTRUCTION}"}],
        "tools": None,
        "documents": None,
        "add_generation_prompt": True,
        "enable_thinking": False,
        "bos_token": tokenizer.bos,
        "eos_token": tokenizer.eos,
    }
    return render(engine.artifact.path.name, tokenizer.chat_template or "", variables)
