"""A conversation as clients write it, and as chat templates read it."""

from __future__ import annotations

from collections.abc import Sequence

from methods.serve.errors import bad
from methods.serve.fields import Message, MessagePart

ROLES = {"developer": "system", "function": "tool"}  # newer and older names
Turn = dict[str, str]


def turns(messages: Sequence[Message]) -> list[Turn]:
    """The turns of a conversation, each with one text; an empty last turn of ours is dropped.

    Raises:
        ApiError: for a part that is no text; names it.
    """
    found = [
        {"role": ROLES.get(message.role, message.role), "content": _text(message, position)}
        for position, message in enumerate(messages)
    ]
    while len(found) > 1 and found[-1] == {"role": "assistant", "content": ""}:
        found.pop()
    return found


def question(conversation: Sequence[Turn]) -> str:
    """What was asked last; it is what a reward model reads.

    Raises:
        ApiError: if nobody asked.
    """
    for turn in reversed(conversation):
        if turn["role"] == "user" and turn["content"].strip():
            return turn["content"]
    raise bad("messages hold no question: no turn of role 'user' with a text", "messages")


def _text(message: Message, position: int) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(
        part if isinstance(part, str) else _part(part, f"messages.{position}.content.{number}")
        for number, part in enumerate(message.content)
    )


def _part(part: MessagePart, where: str) -> str:
    if part.type not in ("text", "refusal", "input_text", "output_text"):
        raise bad(f"{where}: a part of type {part.type!r} cannot be read; choose text", where)
    return part.text or part.refusal
