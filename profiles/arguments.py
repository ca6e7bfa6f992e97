"""Arguments that several subcommands of `profile` share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from convert.refusal import one_of
from convert.units import GIB
from methods.arguments import MAX_SEED, paths, positive_real, threads, whole
from methods.catalog import METHODS
from profiles.lineup import is_file
from runtime.options import Device

positive = whole(1, MAX_SEED)
LEVELS = ("f16", "q8_0", "q4_k_m", "q3_k_s", "q2_k")
LEAST_GIB, MOST_GIB = 0.01, 100_000  # of a memory
SUFFIXES = (".json", ".csv", ".md")
SOURCE = "a checkpoint folder, a hub id, reference:NAME, or one or more .gguf or .onnx files"


def method_width(text: str) -> int | tuple[str, int]:
    """A width for all methods, or `METHOD=N` for one of them.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    method, given, width = text.rpartition("=")
    if given and method not in METHODS:
        raise argparse.ArgumentTypeError(f"unknown method {method!r}; choose {one_of(METHODS)}")
    return (method, paths(width)) if given else paths(width)


def add_model(group: argparse._ArgumentGroup, role: str) -> None:
    """`--policy` or `--reward`: one source or several files."""
    group.add_argument(
        f"--{role}",
        nargs="+",
        metavar="MODEL",
        default=[f"reference:{role}"],
        help=f"{SOURCE} (default: reference:{role})",
    )


def add_place(group: argparse._ArgumentGroup) -> None:
    """Where models run and come from."""
    group.add_argument("--device", choices=get_args(Device), default="auto")
    group.add_argument("--threads", type=threads, metavar="N", help="default: physical cores")
    group.add_argument("--offline", action="store_true", help="never ask the hub")


def add_levels(group: argparse._ArgumentGroup, name: str, default: tuple[str, ...]) -> None:
    """Levels that a source is converted to."""
    group.add_argument(
        name,
        nargs="+",
        metavar="LEVEL",
        type=level,
        default=list(default),
        help=f"levels of a source; files have theirs (default: {' '.join(default)})",
    )


def add_output(group: argparse._ArgumentGroup) -> None:
    """Files to write, and what to print."""
    group.add_argument(
        "-o",
        "--output",
        nargs="+",
        type=_document,
        metavar="FILE",
        default=[],
        help="write FILE.json, FILE.csv or FILE.md; several are all written",
    )
    group.add_argument("--force", action="store_true", help="overwrite FILE")
    group.add_argument("--json", action="store_true", help="print JSON instead of a table")


def levels_unused(models: Sequence[str], flag: str) -> tuple[bool, tuple[str, ...], str]:
    """A rule of `warn_unused`: files have their levels."""
    files = any(map(is_file, models))
    return files, (flag,), "the models are files as they stand"


def level(text: str) -> str:
    """A level of any format under its one name.

    Raises:
        argparse.ArgumentTypeError: for a level that no format has; lists those they have.
    """
    from convert.formats import parse

    try:
        return parse(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def gib(text: str) -> int:
    """A size in GiB, in bytes.

    Raises:
        argparse.ArgumentTypeError: for what is no size of a memory.
    """
    size = positive_real(text)
    if not LEAST_GIB <= size <= MOST_GIB:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size in GiB from {LEAST_GIB} to {MOST_GIB}"
        )
    return int(size * GIB)


def _document(text: str) -> Path:
    path = Path(text)
    if path.suffix not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} does not end in {', '.join(SUFFIXES)}")
    return path
