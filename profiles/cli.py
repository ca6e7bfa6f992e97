"""The `profile` command: run a grid of configurations, and render what a run measured."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from convert import command
from convert.files import write_json
from convert.levels import UnknownLevel
from convert.printing import say
from convert.refusal import Refusal
from methods.arguments import Parser, warn_unused
from profiles.doctor import command as doctor
from profiles.drift import command as drift
from profiles.faults import warn_faults
from profiles.fidelity import command as fidelity
from profiles.latency import command as latency
from profiles.plan import command as plan
from profiles.recommend import command as recommend
from profiles.reward_grid import command as reward_grid
from profiles.run.command import add_arguments, request, resolve_levels, unused
from profiles.tree import command as tree

if TYPE_CHECKING:
    from profiles.report.summary import Summary

OTHERS = (doctor, fidelity, reward_grid, drift, latency, plan, recommend, tree)
EPILOG = """\
Without --policy and --reward the reference models are used; they are converted on first use.

examples:
  profile run
  profile run --levels q8_0 q4_k_m --methods greedy rebase --width 4 8 --limit 50
  profile run --policy mistralai/Mistral-7B-v0.1 --reward peiyi9979/math-shepherd-mistral-7b-prm
  profile run --policy a-q8_0.gguf a-q4_k_m.gguf --methods majority --data gsm8k.jsonl
  profile run --formats gguf onnx --levels q8_0 q4_k_m int8 int4
  profile run --think off on gated --methods majority rebase
  profile run --suite paper
  profile report report
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
    run = commands.add_parser(
        "run",
        help="answer the questions under every configuration, then write the report",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(run)
    report = commands.add_parser("report", help="render the report of a run again")
    report.add_argument("folder", type=Path, metavar="FOLDER", help="where the run wrote")
    report.add_argument("--json", action="store_true", help="print summary.json")
    for module in OTHERS:
        module.add_parser(commands)
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `profile`; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    if strange := [argument for argument in given if not _utf8(argument)]:
        parser().error(f"{strange[0]!r} is not UTF-8 text; rename the file")
    alone = arguments is None
    if hasattr(options, "body"):  # a subcommand with a module of its own
        return command.run("profile", lambda: options.body(options, given), supervised=alone)
    if options.command == "report":
        return command.run("profile", lambda: _report(options), supervised=alone)
    if options.resume and options.force:
        parser().error("--resume and --force contradict each other")
    try:
        resolve_levels(options)
    except UnknownLevel as error:
        parser().error(f"argument --levels: {error}")
    return command.run("profile", lambda: _run(options, given), supervised=alone)


def _utf8(argument: str) -> bool:
    """Whether reports can name an argument: Python keeps other bytes as halves of surrogates."""
    with contextlib.suppress(UnicodeEncodeError):
        return bool(argument.encode()) or not argument
    return False


def _run(options: argparse.Namespace, given: list[str]) -> None:
    from convert.selftest import remarks
    from methods.problem import read_problems
    from profiles.records import store
    from profiles.report.write import write
    from profiles.run import runner
    from profiles.run.grid import configurations, real_models
    from profiles.run.progress import Progress

    asked = request(options)
    warn_unused("profile", given, unused(options))
    problems = read_problems(asked.data, asked.limit, asked.shuffle)
    warn_faults([problem.fault for problem in problems if problem.fault], "count as wrong")
    store.check(options.output, resume=options.resume, force=options.force)
    made = configurations(asked, real_models(asked.offline))
    store.prepare(options.output, force=options.force)
    store.store_configurations(options.output, made)
    run = runner.describe(asked, made, given, len(problems))
    write_json(options.output / store.RUN, run)
    models = dict.fromkeys(path for one in made for path in (one.policy, one.reward))
    for line in remarks(path for path in models if path and path.suffix == ".gguf"):
        say(line, sys.stderr)
    progress = Progress()
    try:
        failures = runner.run_all(options.output, made, progress)
    except KeyboardInterrupt:
        progress.close()
        with contextlib.suppress(OSError):  # after SIGHUP there may be no terminal
            say(f"kept what is done; go on with: {resume_command(given)}", sys.stderr)
        raise
    write_json(options.output / store.RUN, run | {"failures": [asdict(f) for f in failures]})
    _print(write(options.output), options.output, json_wanted=options.json)
    if failures:
        raise Refusal(
            f"{len(failures)} of {len(made)} configurations failed, the first with: "
            f"{failures[0].reason}"
        )


def _report(options: argparse.Namespace) -> None:
    from profiles.report.write import write

    _print(write(options.folder), options.folder, json_wanted=options.json)


def _print(summary: Summary, folder: Path, *, json_wanted: bool) -> None:
    from profiles import paper
    from profiles.tables import aligned, text_table

    if json_wanted:
        say(json.dumps(summary.document(), ensure_ascii=False))
    else:
        say(text_table(summary.rows))
        if summary.header.get("suite"):
            say("\n" + aligned(paper.table(summary.rows)))
        say(f"report: {folder / 'index.html'}", sys.stderr)


def resume_command(given: Sequence[str]) -> str:
    """The command that goes on with an interrupted run."""
    kept = [argument for argument in given if argument not in ("--resume", "--force")]
    return shlex.join(["profile", *kept, "--resume"])
