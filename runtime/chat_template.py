"""Chat templates: programs that came with a model, run in a child with limits.

Whatever a template does, the text it makes is all that reaches this process.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from convert.deaths import died
from convert.refusal import Refusal
from runtime.asked import Asked, Reply

OWN_PROMPT = (
    "give a prompt of your own with --prompt FILE, or in protocol.json beside the "
    "checkpoint, as in "
    '{"prompt": {"template": "Q: {question} A:"}}, and convert again'
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one rendering may take. Waiting, for a busy machine say, counts against `wall_s` only.

    Platforms without a processor clock or a limit of memory have the others.
    """

    cpu_s: float = 2.0
    wall_s: float = 8.0
    start_s: float = 60.0
    memory_bytes: int = 512 << 20  # of the whole child
    characters: int = 1_000_000


def render(model: str, template: str, variables: dict[str, Any]) -> str:
    """The text of a model's chat template.

    Raises:
        Refusal: if the template refuses, fails or passes the limits; names the model.
    """
    return _renderer(os.getpid()).render(model, template, variables)


@cache
def _renderer(_process: int) -> Renderer:
    """The one of this process: a fork may not share its parent's child."""
    return Renderer(Limits())


class Renderer:
    """A child that renders, within limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        numbers = (limits.cpu_s, limits.memory_bytes, limits.characters)
        arguments = tuple(map(str, numbers))
        self._child = Asked("runtime.template_child", arguments, limits.wall_s, limits.start_s)

    def render(self, model: str, template: str, variables: dict[str, Any]) -> str:
        """As the function `render`; callers on other threads wait for each other."""
        if any("\ud800" <= c <= "\udfff" for c in template):
            raise _refusal(model, "is not UTF-8")
        reply = self._child.ask(json.dumps({"template": template, "variables": variables}))
        ((kind, said),) = self._read(reply).items()
        if kind != "text":
            raise _refusal(model, f"{kind}: {said}")
        return said

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def _read(self, reply: Reply) -> dict[str, str]:
        """The child's answer, `text` or what the template does instead: one key and one value."""
        if reply.line:
            return dict(json.loads(reply.line))
        if reply.endless:
            return {"does not end": f"stopped after {self._limits.cpu_s:g} s of work"}
        code = reply.code
        how = died(code, "rendering it") if code < 0 else f"ended with code {code}"
        return {"cannot be rendered": f"the process for it {how}"}


def _refusal(model: str, what: str) -> Refusal:
    return Refusal(f"{model}: its chat template {what}; {OWN_PROMPT}")
