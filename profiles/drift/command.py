"""The `profile drift` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from methods.arguments import warn_unused, whole
from profiles import arguments
from runtime.options import MAX_BRANCHES

EPILOG = """\
Every level reads the same solutions and thinks the baseline's thoughts, so that what differs comes
from the weights: the talk head's mixing weight w, and the mixed distribution of the next token.

examples:
  profile drift
  profile drift --policy ezelikman/quietstar-8-ahead --levels q8_0 q4_k_m -o drift.json
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    p = commands.add_parser(
        "drift",
        help="what quantization does to a thinker's mixing weights and distributions",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = p.add_argument_group("models")
    models.add_argument(
        "--policy",
        nargs="+",
        metavar="MODEL",
        default=["reference:thinker"],
        help=f"{arguments.SOURCE}; thinkers (default: reference:thinker)",
    )
    arguments.add_levels(models, "--levels", arguments.LEVELS)
    arguments.add_place(models)
    p.add_argument(
        "--problems",
        type=whole(1, MAX_BRANCHES),
        metavar="N",
        default=32,
        help="gold solutions of the reference benchmark to read (default: 32)",
    )
    arguments.add_output(p.add_argument_group("output"))
    p.set_defaults(body=run)


def run(options: argparse.Namespace, given: Sequence[str]) -> None:
    """Measure, write and print."""
    from convert.progress import Progress
    from profiles import documents
    from profiles.drift.document import document
    from profiles.drift.measure import measure
    from profiles.lineup import lineup, real_sources
    from profiles.reference_text import solved_problems
    from runtime.load import open_engine
    from runtime.options import EngineOptions

    documents.check(options.output, force=options.force)
    warn_unused("profile", given, [arguments.levels_unused(options.policy, "--levels")])
    found = lineup(options.policy, options.levels, None, real_sources(offline=options.offline))
    paths = [found.baseline, *(path for path in found.levels if path != found.baseline)]
    engines = EngineOptions(
        device=options.device,
        context=512 * options.problems,
        max_branches=options.problems,
        threads=options.threads,
    )
    texts = solved_problems(options.problems)

    def opener(path: Path) -> object:
        return open_engine(path, engines)

    with Progress(sys.stderr).bar("drift", len(paths)) as bar:
        rows = measure(paths, texts, opener, bar.step)  # type: ignore[arg-type]
    made = document(rows, documents.header(given))
    documents.deliver(made, options.output, json_wanted=options.json)
