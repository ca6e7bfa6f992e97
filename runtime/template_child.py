"""Renders chat templates in a process that may be killed: `runtime.chat_template` starts it.

`python -m runtime.template_child CPU_S MEMORY_BYTES CHARACTERS` answers every JSON line of standard
input with one of standard output. It imports no more than it needs: somebody waits for its start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runtime.limits import limit_memory, limit_time

REASON_CHARACTERS = 300  # of an error's message


class Refused(TemplateError):
    """A template called `raise_exception`."""


class TooLong(Exception):
    """A rendered text passes the limit."""


class Generation(Extension):
    """`{% generation %}` marks the assistant's part for training; here it is its body."""

    tags = frozenset({"generation"})  # type: ignore[assignment]

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


def environment() -> ImmutableSandboxedEnvironment:
    """What transformers offers a chat template, in a sandbox."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = _to_json
    made.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    return made


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _refuse(message: str) -> None:
    raise Refused(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def answer(line: str, compiled: Callable[[str], Template], characters: int) -> dict[str, str]:
    """The text that a request asks for, or what the template does instead and why."""
    try:
        request = json.loads(line)
        text = _render(compiled(request["template"]), request["variables"], characters)
    except Refused as error:
        return {"refuses": _reason(error)}
    except TooLong:
        return {"fails": f"its text passes {characters} characters"}
    except MemoryError:
        return {"fails": "it needs too much memory"}
    except Exception as error:
        return {"fails": f"{type(error).__name__}: {_reason(error)}"}
    return {"text": text}


def _render(template: Template, variables: dict[str, Any], characters: int) -> str:
    parts, length = [], 0
    for part in template.generate(variables):
        parts.append(part)
        length += len(part)
        if length > characters:
            raise TooLong
    text = "".join(parts)
    text.encode()  # no tokenizer takes half of a surrogate pair
    return text


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:REASON_CHARACTERS]


def main(cpu_s: float, memory_bytes: int, characters: int) -> None:
    """Serve until standard input ends."""
    compiled = lru_cache(maxsize=8)(environment().from_string)
    limit_memory(memory_bytes)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        limit_time(cpu_s)
        reply = json.dumps(answer(line, compiled, characters))
        limit_time(0)
        print(reply, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
