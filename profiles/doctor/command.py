"""The `profile doctor` command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from convert.printing import say
from convert.refusal import Refusal


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    p = commands.add_parser(
        "doctor",
        help="what works on this machine, and what mends the rest",
        description="Look at this installation; exit code 1 if something is wrong. Every weight "
        "type is tried in llama.cpp, once for each library and processor.",
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.set_defaults(body=run)


def run(options: argparse.Namespace, _given: Sequence[str]) -> None:
    """Print what was found.

    Raises:
        Refusal: if something is wrong.
    """
    from profiles.doctor.document import text
    from profiles.doctor.measure import examine

    health = examine()
    say(json.dumps(asdict(health), ensure_ascii=False) if options.json else text(health))
    if health.faults:
        count = len(health.faults)
        raise Refusal(f"{count} thing{'s are' if count > 1 else ' is'} wrong here")
