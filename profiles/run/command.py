"""The `profile run` command."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from convert.levels import UnknownLevel
from convert.printing import say
from convert.refusal import Refusal
from methods.arguments import warn_unused
from methods.catalog import ProtocolName
from profiles.question_faults import warn_faults
from profiles.records.shard import Shard
from profiles.run.arguments import add_arguments, unused
from profiles.run.array_job import assigned

if TYPE_CHECKING:
    from profiles.records.configuration import Configuration
    from profiles.records.run_document import Failure, RunDocument
    from profiles.run.room import BranchGain

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
  profile run --shard 3/8 -o shards
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    p = commands.add_parser(
        "run",
        help="answer the questions under every configuration, then write the report",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(p)
    p.set_defaults(body=run, settle=partial(_settle, p))


def _settle(p: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What the parser itself cannot refuse: arguments that depend on each other."""
    from profiles.run.request import resolve_levels

    if isinstance(options.protocol, Path):
        options.reward_protocol, options.protocol = options.protocol, ProtocolName.FAIR
    if options.ray is not None and options.shard is not None:
        p.error("--ray and --shard contradict each other: Ray spreads the questions itself")
    if options.resume and options.force:
        p.error("--resume and --force contradict each other")
    try:
        resolve_levels(options)
    except UnknownLevel as error:
        p.error(f"argument --levels: {error}")


def run(options: argparse.Namespace, given: Sequence[str]) -> None:
    """Measure what FOLDER lacks, then write its report and print it.

    Raises:
        Refusal: if arguments or models do not fit together, or a configuration failed.
        FileExistsError: if the folder holds something else.
    """
    from convert.selftest import remarks
    from methods.problem import read_problems
    from profiles.lineup import real_sources
    from profiles.records import stored_run
    from profiles.records.configuration import in_shard
    from profiles.run import runner
    from profiles.run.grid import configurations
    from profiles.run.request import request

    asked = request(options)
    warn_unused("profile", given, unused(options))
    problems = read_problems(asked.data, asked.limit, asked.shuffle, asked.task)
    shard = _shard(options) if options.ray is None else None
    asked = replace(asked, task=problems[0].task, shard=shard)
    folder: Path = options.output
    if shard is not None:
        folder /= shard.folder
        if asked.parallel is None:
            raise Refusal(
                "--parallel auto measures this machine, and all shards need one number; give it"
            )
        everything = read_problems(asked.data, None, asked.shuffle, asked.task)
        problems = in_shard(problems, shard, everything)
    warn_faults([problem.fault for problem in problems if problem.fault], "count as wrong")
    stored_run.check(folder, resume=options.resume, force=options.force)
    models_of = real_sources(offline=asked.offline)
    made = configurations(asked, models_of)
    if asked.parallel is None:
        asked = replace(asked, gain=_gain(options, folder, made[-1]))
        made = configurations(asked, models_of)
    textual = all(one.prompt is not None and one.prompt.template is not None for one in made)
    chatless = (textual, ("--template-arg",), "no policy is asked in its chat template")
    warn_unused("profile", given, [chatless])
    stored_run.prepare(folder, force=options.force)
    stored_run.store_configurations(folder, made)
    run = _with_hosts(options, folder, runner.describe(asked, made, given, len(problems)))
    stored_run.store_run(folder, run)
    if not problems:  # of so many shards some are empty
        say(f"profile: shard {shard} holds no question; there is nothing to do", sys.stderr)
        return
    models = dict.fromkeys(path for one in made for path in (one.policy, one.reward))
    for line in remarks(path for path in models if path and path.suffix == ".gguf"):
        say(line, sys.stderr)
    failures = _run_all(options, given, folder, made, run)
    stored_run.store_run(folder, replace(stored_run.read_run(folder), failures=list(failures)))
    from profiles.report.write import show, write  # seconds, before which questions are answered

    show(write(folder), folder, json_wanted=options.json)
    if failures:
        raise Refusal(
            f"{len(failures)} of {len(made)} configurations failed, the first with: "
            f"{failures[0].reason}"
        )


def _run_all(
    options: argparse.Namespace,
    given: Sequence[str],
    folder: Path,
    made: Sequence[Configuration],
    run: RunDocument,
) -> Sequence[Failure]:
    """Every configuration, here or on a cluster; an interruption says how to go on."""
    from profiles.run.cluster import run_on_ray
    from profiles.run.progress import RunProgress
    from profiles.run.runner import run_all

    progress = RunProgress()
    try:
        if options.ray is not None:
            return run_on_ray(folder, made, options.ray, run)
        return run_all(folder, made, progress)
    except KeyboardInterrupt:
        progress.close()
        with contextlib.suppress(OSError):  # after SIGHUP there may be no terminal
            say(
                f"kept what is done; go on with: {resume_command(given, made[0].shard)}", sys.stderr
            )
        raise


def _with_hosts(options: argparse.Namespace, folder: Path, run: RunDocument) -> RunDocument:
    """A run with its machines, if it has several: as they were, or this one as the first."""
    from profiles.records import stored_run

    stored = folder / stored_run.RUN
    earlier = stored_run.read_run(folder).hosts if stored.exists() else []
    return replace(run, hosts=earlier or ([] if options.ray is None else [run.environment]))


def _gain(options: argparse.Namespace, folder: Path, sample: Configuration) -> BranchGain:
    """Branches in a call for `--parallel auto`: as the run had them, or measured now."""
    from profiles.records import stored_run
    from profiles.run.gain import measured_gain
    from profiles.run.room import BranchGain

    if options.resume and (folder / stored_run.RUN).exists():
        stored = stored_run.read_run(folder)
        if stored.branches is not None:
            return BranchGain(stored.streams or stored.branches, stored.branches)
    found = measured_gain(sample)
    say(
        f"--parallel auto: {sample.slug} gains by {found.streams} single paths in a call, "
        f"and by {found.shared} branches of trees",
        sys.stderr,
    )
    return found


def _shard(options: argparse.Namespace) -> Shard | None:
    """The part of the questions: as asked for, else as an array job says; None for all."""
    found: Shard | None = options.shard
    if found is None and (task := assigned(os.environ)):
        found, said = task
        say(f"profile: shard {found}, as {said} say", sys.stderr)
    return found if found is not None and found.count > 1 else None


def resume_command(given: Sequence[str], shard: Shard | None = None) -> str:
    """The command that goes on with an interrupted run, in whatever job."""
    kept = [argument for argument in given if argument not in ("--resume", "--force")]
    if shard is not None and not any(argument.startswith("--shard") for argument in given):
        kept += ["--shard", str(shard)]
    return shlex.join(["profile", *kept, "--resume"])
