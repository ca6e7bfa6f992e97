"""The `profile latency` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from methods.arguments import MAX_TOKENS, tokens, whole
from profiles import arguments
from runtime.options import MAX_BRANCHES

if TYPE_CHECKING:
    from profiles.latency.measure import Bench

EPILOG = """\
Prompts and decode calls of random tokens, timed in the manner of llama-bench, and set against what
the same device reaches in a matrix product and in a large copy. Needs an otherwise idle machine.

examples:
  profile latency
  profile latency --policy mistralai/Mistral-7B-v0.1 --levels q4_k_m q8_0 -o speed.json speed.md
  profile latency --policy a.gguf b.gguf --decode 1 16 --decode-tokens 16 --repeats 10
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    p = commands.add_parser(
        "latency",
        help="speed of prefill and decode, and how much of the device they use",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = p.add_argument_group("models")
    arguments.add_model(models, "policy")
    arguments.add_levels(models, "--levels", arguments.LEVELS)
    models.add_argument(
        "--full", action="store_true", help="full precision in torch too, where there is a source"
    )
    arguments.add_place(models)
    tests = p.add_argument_group("tests")
    _add_counts(tests, "--prefill", [128, 512], "tokens of prompts", MAX_TOKENS)
    _add_counts(
        tests, "--decode", [1, 4, 16, 64], "branches that decode together", MAX_BRANCHES - 1
    )
    _add_count(tests, "--depth", 128, "tokens before the first decoded one")
    _add_count(tests, "--decode-tokens", 32, "of one branch in a repeat")
    _add_count(tests, "--repeats", 5, "of every test, after one that does not count")
    arguments.add_output(p.add_argument_group("output"))
    p.set_defaults(body=run)


def _add_count(group: argparse._ArgumentGroup, name: str, default: int, meaning: str) -> None:
    text = f"{meaning} (default: {default})"
    group.add_argument(name, type=tokens, metavar="N", default=default, help=text)


def _add_counts(
    group: argparse._ArgumentGroup, name: str, default: list[int], meaning: str, most: int
) -> None:
    text = f"{meaning} (default: {' '.join(map(str, default))})"
    group.add_argument(
        name, type=whole(1, most), metavar="N", nargs="+", default=default, help=text
    )


def run(options: argparse.Namespace, given: Sequence[str]) -> None:
    """Measure, write and print."""
    from convert.progress import Progress
    from profiles import documents
    from profiles.latency import ceilings
    from profiles.latency.document import document
    from profiles.latency.measure import measure, row
    from runtime import devices
    from runtime.load import open_engine
    from runtime.options import EngineOptions

    documents.check(options.output, force=options.force)
    bench, threads = _bench(options), options.threads or devices.threads()
    engines = EngineOptions(
        device=options.device,
        context=bench.context,
        max_branches=max(bench.branches) + 1,
        threads=threads,
    )
    paths = _paths(options)
    with open_engine(paths[0], engines) as engine:
        on_cuda = engine.on_card
    before = ceilings.measure(on_cuda=on_cuda, threads=threads)
    progress = Progress(sys.stderr)
    timed = measure(bench, paths, lambda path: open_engine(path, engines), progress)
    after = ceilings.measure(on_cuda=on_cuda, threads=threads)
    best = ceilings.best(before, after)
    rows, unsteady = [row(one, best) for one in timed], ceilings.unsteady(before, after)
    made = document(rows, best, unsteady, documents.header(given))
    documents.deliver(made, options.output, json_wanted=options.json)


def _bench(options: argparse.Namespace) -> Bench:
    from profiles.latency.measure import Bench

    return Bench(
        prompts=tuple(dict.fromkeys(options.prefill)),
        branches=tuple(dict.fromkeys(options.decode)),
        depth=options.depth,
        steps=options.decode_tokens,
        repeats=options.repeats,
    )


def _paths(options: argparse.Namespace) -> tuple[Path, ...]:
    from profiles.lineup import lineup, real_sources

    found = lineup(options.policy, options.levels, None, real_sources(offline=options.offline))
    return (found.baseline, *found.levels) if options.full else found.converted
