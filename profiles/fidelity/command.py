"""The `profile fidelity` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convert.refusal import Refusal
from methods.arguments import tokens, warn_unused
from profiles import arguments

if TYPE_CHECKING:
    from profiles.fidelity.measure import FidelityRequest
    from profiles.reference_text import Text

EPILOG = """\
Perplexity, KL divergence to full precision, agreement of the top token and RMS change of the next
token's probability, by the method of llama.cpp's perplexity tool. Without --policy the reference
policy is measured, on solutions of its benchmark.

examples:
  profile fidelity
  profile fidelity --policy mistralai/Mistral-7B-v0.1 --levels q8_0 q4_k_m --text wiki.test.raw
  profile fidelity --policy f16.gguf q4_k_m.gguf --text wiki.test.raw --chunks 40 -o f.json f.csv
  profile fidelity --policy q4_k_m.gguf --baseline f16.gguf --text wiki.test.raw
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    p = commands.add_parser(
        "fidelity",
        help="perplexity, and divergence from full precision, on a text",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = p.add_argument_group("models")
    arguments.add_model(models, "policy")
    arguments.add_levels(models, "--levels", arguments.LEVELS)
    models.add_argument(
        "--baseline",
        metavar="MODEL",
        help="a source or a file (default: full precision; of files, the first)",
    )
    arguments.add_place(models)
    text = p.add_argument_group("text")
    text.add_argument(
        "--text", type=Path, metavar="FILE", help="default: solutions of the bundled benchmark"
    )
    text.add_argument(
        "--context",
        type=tokens,
        metavar="TOKENS",
        help="of a chunk (default: 512; of the benchmark's solutions, 128)",
    )
    text.add_argument("--chunks", type=arguments.positive, metavar="N", help="default: all")
    text.add_argument(
        "--batch", type=tokens, metavar="TOKENS", help="of one call (default: context)"
    )
    arguments.add_output(p.add_argument_group("output"))
    p.set_defaults(body=run)


def run(options: argparse.Namespace, given: Sequence[str]) -> None:
    """Measure, write and print."""
    from convert.progress import Progress
    from profiles import documents
    from profiles.fidelity.document import document
    from profiles.fidelity.measure import measure
    from runtime.load import open_engine
    from runtime.options import EngineOptions

    documents.check(options.output, force=options.force)
    warn_unused("profile", given, [arguments.levels_unused(options.policy, "--levels")])
    text = _text(options)
    context = options.context or text.context
    engines = EngineOptions(
        device=options.device, context=context, max_branches=2, threads=options.threads
    )
    found = measure(
        _plan(options, text.content, context),
        lambda path: open_engine(path, engines),
        Progress(sys.stderr),
    )
    header = documents.header(given) | {"text": text.name, "text_sha256": text.sha256}
    documents.deliver(document(found, header), options.output, json_wanted=options.json)


def _text(options: argparse.Namespace) -> Text:
    """The text that was given, or what the reference policy was made for."""
    from profiles.lineup import REFERENCE
    from profiles.reference_text import benchmark_solutions, read_text

    if options.text is not None:
        return read_text(options.text)
    if not any(m.startswith(REFERENCE) for m in (*options.policy, options.baseline or "")):
        raise Refusal(
            "only the reference models have a text of their own; give --text FILE, such as "
            "WikiText-2's wiki.test.raw"
        )
    return benchmark_solutions()


def _plan(options: argparse.Namespace, text: str, context: int) -> FidelityRequest:
    from profiles.fidelity.measure import FidelityRequest
    from profiles.lineup import lineup, real_sources

    sources = real_sources(offline=options.offline)
    models = lineup(options.policy, options.levels, options.baseline, sources)
    return FidelityRequest(
        models.baseline,
        models.levels,
        text,
        context=context,
        chunks=options.chunks,
        batch=options.batch,
    )
