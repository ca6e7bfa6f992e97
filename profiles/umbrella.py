"""`starbase-edge COMMAND`: all commands under one name, where theirs are taken by others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from methods.arguments import Parser

COMMANDS = {
    "convert": ("convert.cli", "a checkpoint becomes GGUF or ONNX files at several levels"),
    "solve": ("methods.cli", "one question, one method, one answer"),
    "serve": ("methods.serve.command", "an OpenAI-compatible server"),
    "profile": ("profiles.cli", "what methods and quantization cost"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands with what follows its name; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    lines = [f"  {name:8} {what}" for name, (_, what) in COMMANDS.items()]
    parser = Parser(
        prog="starbase-edge",
        description="Reasoning-time compute on quantized models.",
        epilog="\n".join(["commands:", *lines, "", "starbase-edge COMMAND --help tells more."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=tuple(COMMANDS), metavar="COMMAND")
    name = parser.parse_args(given[:1]).command
    sys.argv = [f"starbase-edge {name}", *given[1:]]
    module = import_module(COMMANDS[name][0])
    return int(module.main(None if arguments is None else given[1:]))
