"""The arguments of `profile run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from convert.refusal import Refusal, one_of
from methods import arguments as kinds
from methods.answers.tasks import HELP, TASKS
from methods.catalog import METHODS, ProtocolName, standard, unread
from methods.own_arguments import add_own_options
from methods.prompt_arguments import FLAGS, add_prompt
from methods.token_limits import CHAT_PATH, PATH
from profiles import arguments
from profiles.lineup import is_file
from profiles.records.shard import Shard, read_shard
from runtime.options import KvType, Thinking

BENCHMARK = "benchmark"
DEFAULT_WIDTH = 8
MOST_PARALLEL = 256  # questions at once
THINKERS = ("--thinker", "--think-levels", "--thought-temperature")
LEVELS = {
    "gguf": arguments.LEVELS,
    "onnx": ("fp16", "int8", "int4"),
}


def add_arguments(run: argparse.ArgumentParser) -> None:
    """All arguments of `profile run`."""
    _models(run.add_argument_group("models"))
    _search(run.add_argument_group("search"))
    _thinking(run.add_argument_group("thinking (Quiet-STaR)"))
    add_prompt(run.add_argument_group("prompt"))
    _questions(run.add_argument_group("questions"))
    _output(run.add_argument_group("output"))


def _models(group: argparse._ArgumentGroup) -> None:
    source = "a checkpoint folder, a hub id, reference:NAME"
    group.add_argument(
        "--policy",
        nargs="+",
        metavar="MODEL",
        default=["reference:policy"],
        help=f"{source}, or one or more .gguf or .onnx files (default: reference:policy)",
    )
    group.add_argument(
        "--reward",
        metavar="MODEL",
        help=f"{source}, or a file (default: reference:reward); logprob, logprob-mean, "
        "logprob-min, self and self*MODEL as in solve",
    )
    kinds.add_reward_protocol(group, "--reward-protocol")
    group.add_argument(
        "--formats",
        nargs="+",
        choices=tuple(LEVELS),
        default=["gguf"],
        help="file formats to run in (default: gguf)",
    )
    group.add_argument(
        "--levels",
        nargs="+",
        metavar="LEVEL",
        help="quantization levels of these formats "
        f"(default: {'; '.join(' '.join(levels) for levels in LEVELS.values())})",
    )
    group.add_argument(
        "--reward-level",
        metavar="LEVEL",
        default="same",
        help="level of the reward model (default: same as the policy)",
    )
    group.add_argument(
        "--kv-types",
        nargs="+",
        choices=get_args(KvType),
        default=["f16"],
        help="types of the KV cache to run GGUF files with, policy and reward model alike "
        "(default: f16)",
    )
    arguments.add_place(group)
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
        default=standard(),
        help=f"any of {', '.join(METHODS)} (default: {' '.join(standard())})",
    )
    group.add_argument(
        "--width",
        nargs="+",
        type=arguments.method_width,
        metavar="[METHOD=]N",
        default=[DEFAULT_WIDTH],
        help="paths of a vote, width of a tree; several are all run, METHOD=N by one method only, "
        f"as votes that need no reward model pay for more paths (default: {DEFAULT_WIDTH})",
    )
    kinds.add_draws(group)
    kinds.add_aggregation(group)
    group.add_argument(
        "--max-tokens",
        type=kinds.tokens,
        metavar="N",
        help=f"of one path (default: {PATH}, chat models {CHAT_PATH})",
    )
    add_own_options(group)
    kinds.add_limits(group)
    group.add_argument("--seed", type=kinds.seed, default=0)
    group.add_argument(
        "--protocol",
        type=_protocol,
        metavar="{fair,paper,FILE}",
        default=ProtocolName.FAIR,
        help="the same prompt, budget and extraction for all systems, or the code of arXiv "
        "2412.16260 with its faults "
        f"({one_of(row.name for row in METHODS.values() if row.in_paper)} only); a FILE is taken "
        "for --reward-protocol",
    )
    group.add_argument(
        "--suite",
        choices=("paper",),
        help="the paper's six systems under both protocols, on its seeded 128 questions; "
        "replaces --methods, --width, --think and --protocol",
    )


def _thinking(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--think",
        nargs="+",
        choices=get_args(Thinking),
        default=["off"],
        help="before no token, before each, or only where unsure (default: off)",
    )
    group.add_argument(
        "--thinker",
        metavar="MODEL",
        help="Quiet-STaR model for on and gated (default: reference:thinker, or the policy)",
    )
    group.add_argument(
        "--think-levels",
        nargs="+",
        metavar="LEVEL",
        help="levels at which thoughts run, f32 for full precision (default: all that run)",
    )
    kinds.add_thoughts(group)


def _questions(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        metavar="FILE",
        default=BENCHMARK,
        help="jsonl with the fields of GSM8K, MATH or a multiple choice, or the bundled benchmark "
        "(default)",
    )
    group.add_argument(
        "--limit",
        type=arguments.positive,
        metavar="N",
        help="the first N questions (default: 100; 128 in the paper's suite)",
    )
    group.add_argument("--task", choices=TASKS, help=f"{HELP} (default: as the fields of FILE say)")
    group.add_argument(
        "--parallel",
        type=_parallel,
        metavar="N",
        default=1,
        help="questions at once, or auto; latency is then measured on --latency-questions of them, "
        "asked alone (default: 1)",
    )
    group.add_argument(
        "--latency-questions",
        type=kinds.whole(0),
        metavar="N",
        default=20,
        help="the first N are asked alone too, with --parallel (default: 20)",
    )
    group.add_argument(
        "--shard",
        type=_shard,
        metavar="I/K",
        help="the questions of part I of K, from 0; 0/1 are all (default: as an array job of Slurm "
        "says)",
    )
    group.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="spread the questions over a Ray cluster (default: this machine's)",
    )
    group.add_argument(
        "--shuffle",
        type=kinds.seed,
        metavar="SEED",
        help="take them in a random order that repeats",
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


def _parallel(text: str) -> int | None:
    """Questions at once; None for auto."""
    return None if text == "auto" else kinds.whole(1, MOST_PARALLEL)(text)


def _shard(text: str) -> Shard:
    """A part of the questions."""
    try:
        return read_shard(text)
    except Refusal as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _protocol(text: str) -> ProtocolName | Path:
    """A protocol by its word, or as files have it, or a file of a reward protocol."""
    if Path(text).is_file():
        return Path(text)
    known = {name: p for p in ProtocolName for name in (p.word, p.value)}
    if text not in known:
        words = one_of([*(p.word for p in ProtocolName), "a file"])
        raise argparse.ArgumentTypeError(f"unknown protocol {text!r}; choose {words}")
    return known[text]


def unused(options: argparse.Namespace) -> list[tuple[bool, tuple[str, ...], str]]:
    """Arguments that no configuration of a run reads."""
    judged = any(METHODS[method].needs_reward for method in options.methods)
    think, suite = set(options.think), options.suite is not None
    paper = options.protocol is ProtocolName.PAPER
    files = any(map(is_file, options.policy))
    gguf = any(p.endswith(".gguf") for p in options.policy) if files else "gguf" in options.formats
    early = ("--stop-loops", "--think-budget", "--budget")
    fixed = ("--temperature", "--top-p", "--max-tokens", "--balance", "--aggregation", *early)
    scored = ("--reward", "--reward-level", "--reward-protocol", "--aggregation")
    return [
        (suite, ("--methods", "--width", "--think", "--protocol"), "--suite paper has its own"),
        (paper and not suite, (*fixed, *FLAGS), "--protocol paper has its own"),
        (not judged and not suite, scored, "no method of these reads a reward model"),
        (not suite, unread(options.methods), "no method of these reads it"),
        (think == {"off"} and not suite, THINKERS, "give --think on or gated"),
        ("gated" not in think or suite, ("--gate", "--gate-by"), "give --think gated"),
        (options.parallel == 1, ("--latency-questions",), "give --parallel"),
        (not gguf, ("--kv-types",), "only GGUF files run with other types"),
        (files, ("--levels", "--formats"), "the policies are files as they stand"),
        (
            options.reward is not None and is_file(options.reward),
            ("--reward-level",),
            "the reward model is a file as it stands",
        ),
    ]
