"""Arguments as all commands read them: one line for a mistake, numbers within sane limits."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn, get_args

from convert.artifact import Aggregation
from convert.printing import plain, say
from convert.refusal import Refusal
from methods.budget import Budget, parse
from runtime.options import GateBy

MAX_TOKENS = 1 << 24  # of a KV cache or a path: more than any model was made for
MAX_PATHS = 10_000
MAX_THREADS = 512  # llama.cpp's own limit
COLDEST = 1e-4  # a sampling temperature
MAX_SEED = (1 << 63) - 1


class Parser(argparse.ArgumentParser):
    """One line for a mistake; the usage is a page long and stands in --help."""

    def error(self, message: str) -> NoReturn:
        line = " ".join(f"{self.prog}: error: {message}".split())
        self.exit(2, plain(line) + "\n")


def whole(least: int, most: int = MAX_TOKENS) -> Callable[[str], int]:
    """The reader of whole numbers in a range.

    Raises:
        argparse.ArgumentTypeError: for anything else, by the reader.
    """

    def read(text: str) -> int:
        digits = text.removeprefix("-")
        known = text.isascii() and digits.isdigit() and len(digits) < 20
        if not known or not least <= int(text) <= most:
            said = "a positive number" if least == 1 else f"a whole number from {least}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {said} (at most {most})")
        return int(text)

    return read


def real(text: str) -> float:
    """A finite number that is not negative.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    value = _float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return value


def temperature(text: str) -> float:
    """A sampling temperature: 0 for greedy, else one that float32 can divide logits by.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    value = real(text)
    if 0 < value < COLDEST:
        raise argparse.ArgumentTypeError(f"{text!r} is below {COLDEST:g}; choose 0 for greedy")
    return value


def positive_real(text: str) -> float:
    """A finite number above zero.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    value = _float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def share(text: str) -> float:
    """A number above 0, and 1 at most.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    value = _float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def budget(text: str) -> Budget:
    """Tokens, seconds or operations: `2000tok`, `5s`, `4T`.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    try:
        return parse(text)
    except Refusal as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_draws(group: argparse._ArgumentGroup) -> None:
    """How steps are sampled, and children shared out."""
    group.add_argument("--temperature", type=temperature, default=1.0)
    group.add_argument("--top-p", type=share, default=1.0)
    group.add_argument(
        "--balance", type=positive_real, default=0.1, help="REBASE's softmax temperature"
    )


def add_aggregation(group: argparse._ArgumentGroup) -> None:
    """How the scores of a path become one."""
    group.add_argument(
        "--aggregation",
        choices=get_args(Aggregation),
        help="of a path's scores (default: as the reward model's protocol says)",
    )


def add_thoughts(group: argparse._ArgumentGroup) -> None:
    """Where a Quiet-STaR model thinks, and how."""
    group.add_argument(
        "--gate",
        type=real,
        metavar="X",
        help="unsure: the top probability is below X, or the entropy above (default: 0.9, 0.3)",
    )
    group.add_argument("--gate-by", choices=get_args(GateBy), default="probability")
    group.add_argument("--thought-temperature", type=temperature, default=1.0)


def add_reward_protocol(group: argparse._ArgumentGroup, flag: str) -> None:
    """How the reward model scores, as `convert.stated.asked_reward` reads it."""
    group.add_argument(
        flag,
        type=Path,
        metavar="FILE|PRESET",
        help="how the reward model scores, in the form of protocol.json, or the name of a preset "
        "(any other name lists them)",
    )


def add_limits(group: argparse._ArgumentGroup) -> None:
    """What ends a search, a path or a part of it early."""
    group.add_argument(
        "--budget",
        type=budget,
        metavar="N{tok,s,T,G}",
        help="of an answer, all models and thoughts counted: tokens, seconds, 10^12 or 10^9 "
        "operations; looked at between stages (default: what --width takes)",
    )
    group.add_argument(
        "--stop-loops",
        action="store_true",
        help="end a path that repeats itself, and ask it for its answer",
    )
    group.add_argument(
        "--think-budget",
        type=tokens,
        metavar="N",
        help="close a <think> block after N tokens of a path (default: the model closes it)",
    )


paths = whole(1, MAX_PATHS)
tokens = whole(1)
threads = whole(1, MAX_THREADS)
natural = whole(0)
seed = whole(0, MAX_SEED)


def warn_unused(
    program: str, given: Sequence[str], rules: Iterable[tuple[bool, Sequence[str], str]]
) -> None:
    """Say on stderr which of the given arguments have no effect. A rule is (holds, flags, why)."""
    names = {argument.split("=", 1)[0] for argument in given}
    for holds, flags, why in rules:
        if holds and (idle := [flag for flag in flags if flag in names]):
            say(f"{program}: warning: {', '.join(idle)} has no effect: {why}", sys.stderr)
