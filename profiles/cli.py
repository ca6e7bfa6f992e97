"""The `profile` command: run a grid of configurations, and render what a run measured."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from convert import command
from methods.cli import METHODS
from profiles import fidelity_cli, latency_cli, reward_grid_cli

if TYPE_CHECKING:
    from profiles.grid import Request
    from profiles.summary import Summary

BENCHMARK = "benchmark"
LEVELS = ("f16", "q8_0", "q4_k_m", "q3_k_s", "q2_k")
EPILOG = """\
Without --policy and --reward the reference models are used; they are converted on first use.

examples:
  profile run
  profile run --levels q8_0 q4_k_m --methods greedy rebase --width 4 8 --limit 50
  profile run --policy mistralai/Mistral-7B-v0.1 --reward peiyi9979/math-shepherd-mistral-7b-prm
  profile run --policy a-q8_0.gguf a-q4_k_m.gguf --methods majority --data gsm8k.jsonl
  profile report report
"""


class Parser(argparse.ArgumentParser):
    """One line for a mistake; the usage is a page long and stands in --help."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


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
    _models(run.add_argument_group("models"))
    _search(run.add_argument_group("search"))
    _questions(run.add_argument_group("questions"))
    _output(run.add_argument_group("output"))
    report = commands.add_parser("report", help="render the report of a run again")
    report.add_argument("folder", type=Path, metavar="FOLDER", help="where the run wrote")
    report.add_argument("--json", action="store_true", help="print summary.json")
    for module in (fidelity_cli, reward_grid_cli, latency_cli):
        module.add_parser(commands)
    return p


def _models(group: argparse._ArgumentGroup) -> None:
    source = "a checkpoint folder, a hub id, reference:NAME"
    group.add_argument(
        "--policy",
        nargs="+",
        metavar="MODEL",
        default=["reference:policy"],
        help=f"{source}, or one or more .gguf files (default: reference:policy)",
    )
    group.add_argument(
        "--reward", metavar="MODEL", help=f"{source}, or a .gguf file (default: reference:reward)"
    )
    group.add_argument(
        "--levels",
        nargs="+",
        metavar="LEVEL",
        type=_level,
        default=list(LEVELS),
        help=f"quantization levels (default: {' '.join(LEVELS)})",
    )
    group.add_argument(
        "--reward-level",
        metavar="LEVEL",
        type=lambda text: text if text == "same" else _level(text),
        default="same",
        help="level of the reward model (default: same as the policy)",
    )
    group.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    group.add_argument("--offline", action="store_true", help="never ask the hub")
    group.add_argument(
        "--no-baseline",
        dest="baseline",
        action="store_false",
        help="leave out full precision; the first level is the baseline then",
    )


def _search(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        metavar="METHOD",
        default=list(METHODS),
        help=f"any of {', '.join(METHODS)} (default: all)",
    )
    group.add_argument(
        "--width",
        nargs="+",
        type=_positive,
        metavar="N",
        default=[8],
        help="paths of a vote, width of REBASE; several are all run (default: 8)",
    )
    group.add_argument("--temperature", type=float, default=1.0)
    group.add_argument("--top-p", type=float, default=1.0)
    group.add_argument("--balance", type=float, default=0.1, help="REBASE's softmax temperature")
    group.add_argument("--aggregation", choices=("last", "min", "prod", "mean"), default="last")
    group.add_argument(
        "--max-tokens", type=_positive, metavar="N", default=256, help="of one path (default: 256)"
    )
    group.add_argument("--seed", type=int, default=0)


def _questions(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        metavar="FILE",
        default=BENCHMARK,
        help="jsonl in GSM8K's format, or the bundled benchmark (default)",
    )
    group.add_argument(
        "--limit",
        type=_positive,
        metavar="N",
        default=100,
        help="the first N questions (default: 100)",
    )


def _output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("report"),
        help="default: report",
    )
    group.add_argument("--resume", action="store_true", help="go on with what FOLDER holds")
    group.add_argument("--force", action="store_true", help="replace what FOLDER holds")
    group.add_argument("--json", action="store_true", help="print summary.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `profile`; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    if hasattr(options, "body"):  # a subcommand with a module of its own
        return command.run("profile", lambda: options.body(options, given))
    if options.command == "report":
        return command.run("profile", lambda: _report(options))
    if options.resume and options.force:
        parser().error("--resume and --force contradict each other")
    return command.run("profile", lambda: _run(options, given))


def _run(options: argparse.Namespace, given: list[str]) -> None:
    from methods.problem import read_problems
    from profiles import report, runner, store
    from profiles.grid import configurations, real_models
    from profiles.progress import Progress

    request = _request(options)
    questions = len(read_problems(request.data, request.limit))
    store.check(options.output, resume=options.resume, force=options.force)
    made = configurations(request, real_models(request.offline))
    store.prepare(options.output, force=options.force)
    store.store_configurations(options.output, made)
    run = runner.describe(request, made, given, questions)
    store.write_json(options.output / store.RUN, run)
    progress = Progress()
    try:
        failures = runner.run_all(options.output, made, progress)
    except KeyboardInterrupt:
        progress.close()
        print(f"kept what is done; go on with: {resume_command(given)}", file=sys.stderr)
        raise
    store.write_json(options.output / store.RUN, run | {"failures": [asdict(f) for f in failures]})
    _print(report.write(options.output), options.output, json_wanted=options.json)
    if failures:
        raise RuntimeError(
            f"{len(failures)} of {len(made)} configurations failed, the first with: "
            f"{failures[0].reason}"
        )


def _report(options: argparse.Namespace) -> None:
    from profiles import report

    _print(report.write(options.folder), options.folder, json_wanted=options.json)


def _print(summary: Summary, folder: Path, *, json_wanted: bool) -> None:
    from profiles.tables import text_table

    if json_wanted:
        print(json.dumps(summary.document(), ensure_ascii=False))
    else:
        print(text_table(summary.rows))
        print(f"report: {folder / 'index.html'}", file=sys.stderr)


def _request(options: argparse.Namespace) -> Request:
    """What was asked for, as the grid reads it."""
    import convert
    from methods.build import MethodSpec
    from profiles.grid import Request

    bundled = Path(convert.__file__).parent / "reference" / "benchmark.jsonl"
    return Request(
        policies=tuple(options.policy),
        reward=options.reward,
        levels=tuple(dict.fromkeys(options.levels)),
        reward_level=options.reward_level,
        methods=tuple(dict.fromkeys(options.methods)),
        widths=tuple(dict.fromkeys(options.width)),
        data=bundled if options.data == BENCHMARK else Path(options.data),
        limit=options.limit,
        seed=options.seed,
        device=options.device,
        baseline=options.baseline,
        spec=MethodSpec(
            "greedy",
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=options.max_tokens,
            balance=options.balance,
            aggregation=options.aggregation,
        ),
        offline=options.offline,
    )


def resume_command(given: Sequence[str]) -> str:
    """The command that goes on with an interrupted run."""
    kept = [argument for argument in given if argument not in ("--resume", "--force")]
    return shlex.join(["profile", *kept, "--resume"])


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _level(text: str) -> str:
    """A level under its one name.

    Raises:
        argparse.ArgumentTypeError: for a level that llama.cpp does not have; lists those it has.
    """
    from convert.levels import parse_level

    try:
        return parse_level(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
