"""`profile recommend`: which measured configuration to use on a given machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from methods.arguments import budget, positive_real
from profiles import arguments

EPILOG = """\
examples:
  profile recommend --vram 8 --max-latency 5
  profile recommend --budget 20G
  profile recommend report --ram 4 --min-accuracy 70 --json
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    p = commands.add_parser(
        "recommend",
        help="pick from the measured rows of a run, under limits",
        description="The most accurate measured row within the limits, and why.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "folder",
        type=Path,
        nargs="?",
        metavar="FOLDER",
        default=Path("report"),
        help="where the run wrote (default: report)",
    )
    p.add_argument("--vram", type=arguments.gib, metavar="GIB", help="size of the card")
    p.add_argument("--ram", type=arguments.gib, metavar="GIB", help="main memory to use at most")
    p.add_argument(
        "--max-latency",
        type=positive_real,
        metavar="SECONDS",
        help="of a question, that 95 %% of them keep",
    )
    p.add_argument(
        "--budget",
        type=budget,
        metavar="N{tok,s,T,G}",
        help="of a question on average, all models counted: tokens, seconds, 10^12 or 10^9 "
        "operations",
    )
    p.add_argument("--min-accuracy", type=_percent, metavar="PERCENT", help="of right answers")
    p.add_argument("--json", action="store_true", help="print one JSON document")
    p.set_defaults(body=run)


def run(options: argparse.Namespace, _given: Sequence[str]) -> None:
    """Print a recommendation.

    Raises:
        FileNotFoundError: if the folder holds no summary.
        Refusal: if the summary cannot be read, or no row keeps the limits.
    """
    from convert.printing import say
    from profiles.recommend.document import text
    from profiles.recommend.measure import RowLimits, document, read_rows, recommend
    from profiles.report.row_comparison import by_questions

    limits = RowLimits(
        options.vram, options.ram, options.max_latency, options.min_accuracy, options.budget
    )
    found = recommend(read_rows(options.folder), limits, by_questions(options.folder))
    if options.json:
        say(json.dumps(document(found, limits), ensure_ascii=False))
    else:
        say(text(found, limits))


def _percent(text: str) -> float:
    value = positive_real(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage")
    return value / 100
