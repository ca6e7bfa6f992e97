"""The arguments that say how a policy is asked, the same for every command."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.prompt_presets import PRESETS, SHOTS
from methods import arguments as kinds

if TYPE_CHECKING:
    from convert.artifact import PromptFormat
    from runtime.prompt_changes import PromptChanges

FLAGS = (
    "--prompt", "--few-shot", "--system", "--step-stop", "--answer-marker", "--template-arg",
)  # fmt: skip
ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
TRUTH = {"true": True, "false": False}


def add_prompt(group: argparse._ArgumentGroup) -> None:
    """Add them to a command."""
    group.add_argument(
        "--prompt",
        metavar="FILE|PRESET",
        help=f"{', '.join(PRESETS)}, a text file with {{question}} in it, or a .json file as "
        "protocol.json has its prompt (default: the model's own)",
    )
    group.add_argument(
        "--few-shot",
        type=kinds.whole(0, SHOTS),
        metavar="N",
        help=f"solved examples before the question, {SHOTS} at most",
    )
    group.add_argument("--system", type=text, metavar="TEXT", help="what stands before all else")
    group.add_argument(
        "--step-stop", type=_not_empty, metavar="TEXT", help=r"what ends a step, such as '\n'"
    )
    group.add_argument(
        "--answer-marker", type=_not_empty, metavar="TEXT", help="what stands before an answer"
    )
    group.add_argument(
        "--template-arg",
        type=variable,
        action="append",
        metavar="NAME=VALUE",
        help="a variable of the chat template, such as enable_thinking=true",
    )


def text(given: str) -> str:
    r"""A text in which `\n`, `\t` and `\\` stand for what they do in most languages."""
    return re.sub(r"\\([nt\\])", lambda found: ESCAPES[found[1]], given)


def _not_empty(given: str) -> str:
    if not given:
        raise argparse.ArgumentTypeError("it needs a text")
    return text(given)


def variable(given: str) -> tuple[str, Any]:
    """A name and its value: true, false, another JSON value, or else a text.

    Raises:
        argparse.ArgumentTypeError: for what is no NAME=VALUE.
    """
    name, equals, value = given.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{given!r} is not NAME=VALUE")
    if value.lower() in TRUTH:
        return name, TRUTH[value.lower()]
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def changes(options: argparse.Namespace) -> PromptChanges:
    """What was asked of the prompt.

    Raises:
        Refusal: for a prompt that is neither a preset nor a file, or a file that holds none.
    """
    from runtime.prompt_changes import PromptChanges

    return PromptChanges(
        form=None if options.prompt is None else form_named(options.prompt),
        shots=options.few_shot,
        system=options.system,
        step_stop=options.step_stop,
        answer_marker=options.answer_marker,
        variables=tuple(options.template_arg or ()),
    )


def form_named(name: str) -> PromptFormat:
    """A preset, or the format in a file; of a text file the last line end is not part of it.

    Raises:
        Refusal: if it is neither; names the presets.
    """
    from convert.artifact import PromptFormat
    from convert.files import read_json, regular
    from convert.protocols import judged
    from convert.refusal import Refusal, reading

    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if not path.is_file():
        raise Refusal(f"{name} is no file and no prompt; choose {', '.join(PRESETS)}, or a file")
    if path.suffix == ".json":
        document = read_json(path)
        return judged(PromptFormat, path, "prompt", document.get("prompt", document))
    with reading(path):
        template = regular(path).read_bytes().decode().replace("\r\n", "\n").removesuffix("\n")
    return judged(PromptFormat, path, "prompt", {"template": template})
