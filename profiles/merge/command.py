"""The `profile merge` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from convert.printing import say


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    p = commands.add_parser("merge", help="put the shards of a run together, then write the report")
    p.add_argument("shards", nargs="+", type=Path, metavar="SHARD", help="the folder of a shard")
    p.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("report"),
        help="default: report",
    )
    p.add_argument("--force", action="store_true", help="replace what FOLDER holds")
    p.add_argument("--json", action="store_true", help="print summary.json")
    p.set_defaults(body=run)


def run(options: argparse.Namespace, _given: Sequence[str]) -> None:
    """Write the run that the shards are parts of, with its report, and print it.

    Raises:
        Refusal: if the shards are not those of one run, each of them once.
        FileExistsError: if the folder holds something else.
    """
    from profiles.merge.measure import merge
    from profiles.merge.shards import read_shards, unfinished
    from profiles.records import stored_run
    from profiles.report.write import show, write

    parts = read_shards(options.shards)
    for line in unfinished(parts):
        say(f"profile: warning: {line}", sys.stderr)
    stored_run.check(options.output, resume=False, force=options.force)
    stored_run.prepare(options.output, force=options.force)
    merge(parts, options.output)
    show(write(options.output), options.output, json_wanted=options.json)
