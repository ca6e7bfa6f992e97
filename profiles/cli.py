"""The `profile` command: run a grid of configurations, and render what a run measured."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

from convert import command
from methods.arguments import Parser
from profiles.doctor import command as doctor
from profiles.drift import command as drift
from profiles.fidelity import command as fidelity
from profiles.judge import command as judge
from profiles.latency import command as latency
from profiles.merge import command as merge
from profiles.plan import command as plan
from profiles.recommend import command as recommend
from profiles.report import command as report
from profiles.reward_grid import command as reward_grid
from profiles.run import command as run
from profiles.tree import command as tree

COMMANDS = (
    run,
    merge,
    report,
    doctor,
    fidelity,
    reward_grid,
    judge,
    drift,
    latency,
    plan,
    recommend,
    tree,
)
EPILOG = """\
Without --policy and --reward the reference models are used; they are converted on first use.

examples:
  profile run
  profile run --levels q8_0 q4_k_m --methods greedy rebase --width 4 8 --limit 50
  profile run --policy mistralai/Mistral-7B-v0.1 --reward peiyi9979/math-shepherd-mistral-7b-prm
  profile report report
  profile doctor
"""


def parser() -> argparse.ArgumentParser:
    """The command line of `profile`."""
    p = Parser(
        prog="profile",
        description="Measure what an answer costs and what quantization changed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `profile`; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    if strange := [argument for argument in given if not _utf8(argument)]:
        parser().error(f"{strange[0]!r} is not UTF-8 text; rename the file")
    if hasattr(options, "settle"):  # arguments that depend on each other
        options.settle(options)
    alone = arguments is None
    return command.run("profile", lambda: options.body(options, given), supervised=alone)


def _utf8(argument: str) -> bool:
    """Whether reports can name an argument: Python keeps other bytes as halves of surrogates."""
    with contextlib.suppress(UnicodeEncodeError):
        return bool(argument.encode()) or not argument
    return False
