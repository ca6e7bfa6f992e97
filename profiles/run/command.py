"""The arguments of `profile run`, and what they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from methods import arguments as kinds
from methods.cli import METHODS
from profiles import arguments
from profiles.ladder import is_file

if TYPE_CHECKING:
    from profiles.run.grid import Request

BENCHMARK = "benchmark"
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
        "--reward", metavar="MODEL", help=f"{source}, or a file (default: reference:reward)"
    )
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
        default=list(METHODS),
        help=f"any of {', '.join(METHODS)} (default: all)",
    )
    group.add_argument(
        "--width",
        nargs="+",
        type=kinds.paths,
        metavar="N",
        default=[8],
        help="paths of a vote, width of REBASE; several are all run (default: 8)",
    )
    group.add_argument("--temperature", type=kinds.temperature, default=1.0)
    group.add_argument("--top-p", type=kinds.share, default=1.0)
    group.add_argument(
        "--balance", type=kinds.positive_real, default=0.1, help="REBASE's softmax temperature"
    )
    arguments.add_aggregation(group)
    group.add_argument(
        "--max-tokens",
        type=kinds.tokens,
        metavar="N",
        default=256,
        help="of one path (default: 256)",
    )
    group.add_argument("--seed", type=kinds.seed, default=0)
    group.add_argument(
        "--protocol",
        choices=("fair", "seed"),
        default="fair",
        help="the same prompt, budget and extraction for all systems, or the code of arXiv "
        "2412.16260 with its faults (majority and rebase only)",
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
        choices=("off", "on", "gated"),
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
    group.add_argument(
        "--gate",
        type=kinds.real,
        metavar="X",
        help="think where the top probability is below X, or the entropy above (default: 0.9)",
    )
    group.add_argument("--gate-by", choices=("probability", "entropy"), default="probability")
    group.add_argument("--thought-temperature", type=kinds.temperature, default=1.0)


def _questions(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        metavar="FILE",
        default=BENCHMARK,
        help="jsonl in GSM8K's format, or the bundled benchmark (default)",
    )
    group.add_argument(
        "--limit",
        type=arguments.positive,
        metavar="N",
        help="the first N questions (default: 100; 128 in the paper's suite)",
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


def unused(options: argparse.Namespace) -> list[tuple[bool, tuple[str, ...], str]]:
    """Arguments that no configuration of a run reads."""
    searches = {METHODS[method][0] for method in options.methods}
    judged = any(METHODS[m][1] in ("best-of-n", "weighted") for m in options.methods)
    think, suite = set(options.think), options.suite is not None
    files = any(map(is_file, options.policy))
    wide = ("--width", "--temperature", "--top-p")
    fixed = ("--temperature", "--top-p", "--max-tokens", "--balance", "--aggregation")
    scored = ("--reward", "--reward-level", "--aggregation")
    return [
        (suite, ("--methods", "--width", "--think", "--protocol"), "--suite paper has its own"),
        (options.protocol == "seed" and not suite, fixed, "--protocol seed has its own"),
        (not judged and not suite, scored, "no method of these reads a reward model"),
        ("rebase" not in searches and not suite, ("--balance",), "--methods has no rebase"),
        (searches == {"greedy"} and not suite, wide, "--methods greedy draws nothing"),
        (think == {"off"} and not suite, THINKERS, "give --think on or gated"),
        ("gated" not in think or suite, ("--gate", "--gate-by"), "give --think gated"),
        (files, ("--levels", "--formats"), "the policies are files as they stand"),
        (
            options.reward is not None and is_file(options.reward),
            ("--reward-level",),
            "the reward model is a file as it stands",
        ),
    ]


def request(options: argparse.Namespace) -> Request:
    """What was asked for, as the grid reads it.

    Raises:
        Refusal: if arguments contradict the suite.
    """
    import convert
    from methods.build import MethodSpec
    from profiles import paper
    from profiles.run.grid import Request
    from runtime.options import EngineOptions

    bundled = Path(convert.__file__).parent / "reference" / "benchmark.jsonl"
    suite = options.suite == "paper"
    return Request(
        policies=tuple(options.policy),
        reward=options.reward,
        levels=options.levels,
        reward_level=options.reward_level,
        methods=paper.METHODS if suite else tuple(dict.fromkeys(options.methods)),
        widths=tuple(dict.fromkeys(options.width)),
        data=bundled if options.data == BENCHMARK else Path(options.data),
        limit=options.limit or (paper.QUESTIONS if suite else 100),
        seed=options.seed,
        options=EngineOptions(
            device=options.device,
            threads=options.threads,
            gate_by=options.gate_by,
            gate=_gate(options),
            thought_temperature=options.thought_temperature,
        ),
        baseline=options.baseline,
        spec=MethodSpec(
            "greedy",
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=options.max_tokens,
            balance=options.balance,
            aggregation=options.aggregation,
            protocol=options.protocol,
        ),
        think=("off", "on") if suite else tuple(dict.fromkeys(options.think)),
        thinker=options.thinker,
        think_levels=tuple(options.think_levels) if options.think_levels else None,
        suite=suite,
        shuffle=paper.SHUFFLE if suite and options.shuffle is None else options.shuffle,
        offline=options.offline,
    )


def _gate(options: argparse.Namespace) -> float:
    """The threshold, checked; each kind of gate has its own default."""
    from runtime.gate import DEFAULTS, Gate

    threshold = DEFAULTS[options.gate_by] if options.gate is None else options.gate
    return Gate(options.gate_by, threshold).threshold


def resolve_levels(options: argparse.Namespace) -> None:
    """Put the one name of every level into its place; a level tells its format.

    Raises:
        UnknownLevel: for a level that none of the wanted formats has; lists those they have.
    """
    from convert.formats import parse

    formats = tuple(dict.fromkeys(options.formats))
    wanted = options.levels or [level for form in formats for level in LEVELS[form]]
    options.levels = tuple(dict.fromkeys(parse(level, formats).name for level in wanted))
    if options.think_levels:
        options.think_levels = [parse(level, formats).name for level in options.think_levels]
    if options.reward_level != "same":
        options.reward_level = parse(options.reward_level, formats).name
