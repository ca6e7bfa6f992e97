"""How long paths and steps may be where nobody says so, and the KV cache that holds them."""

from __future__ import annotations

from convert.artifact import PromptFormat
from runtime.prompt_changes import names_chat

PATH, STEP = 256, 96  # tokens: answers to GSM8K in the form of a base model
CHAT_PATH, CHAT_STEP = 1024, 256  # a chat model explains
PROMPT, SHOT = 1024, 128  # tokens of a prompt, and of each solved example in it
CONTEXT, LARGEST_CONTEXT = 4096, 32768  # tokens of KV cache


def path_tokens(form: PromptFormat | None, asked: int | None) -> int:
    """Tokens of one path."""
    return asked or (CHAT_PATH if names_chat(form) else PATH)


def step_tokens(form: PromptFormat | None, asked: int | None) -> int:
    """Tokens of one step."""
    return asked or (CHAT_STEP if names_chat(form) else STEP)


def room_for_prompt(form: PromptFormat | None) -> int:
    """Tokens of KV cache beside the paths."""
    return PROMPT + SHOT * (form.shots if form else 0)


def context_tokens(form: PromptFormat | None, paths: int, tokens: int) -> int:
    """Tokens of KV cache for so many paths of a chat; a usual number for other models."""
    needed = room_for_prompt(form) + paths * tokens
    return min(LARGEST_CONTEXT, max(CONTEXT, needed)) if names_chat(form) else CONTEXT
