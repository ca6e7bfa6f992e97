"""The `profile report` command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    p = commands.add_parser("report", help="render the report of a run again")
    p.add_argument("folder", type=Path, metavar="FOLDER", help="where the run wrote")
    p.add_argument("--json", action="store_true", help="print summary.json")
    p.set_defaults(body=run)


def run(options: argparse.Namespace, _given: Sequence[str]) -> None:
    """Write the report of a run's folder and print it.

    Raises:
        FileNotFoundError: if the folder is not one of a run.
        Refusal: if a file in it is broken, or nothing was measured yet.
    """
    from profiles.report.write import show, write

    show(write(options.folder), options.folder, json_wanted=options.json)
