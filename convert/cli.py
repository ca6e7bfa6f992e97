"""The `convert` command: a checkpoint or a GGUF to GGUF or ONNX files at any level."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from convert.artifact import Role, ThoughtEmbedding
from convert.bounds import shown
from convert.command import run
from convert.formats import DEFAULTS, FORMATS, NAMES, AnyLevel, parse
from convert.levels import UnknownLevel
from convert.printing import say
from convert.refusal import Refusal

if TYPE_CHECKING:
    from convert.artifact import Artifact
    from convert.identity import Identity
    from convert.order import Order
    from convert.sizes import Weights

EPILOG = """\
SOURCE is a checkpoint folder, a .gguf file, a hub id (owner/name, optional @revision), or
one of reference:policy (the default), reference:reward, reference:thinker. Levels of gguf are
llama.cpp's, those of onnx say how weights are stored: convert --list, convert --list --format onnx.

examples:
  convert --quant q4_k_m
  convert mistralai/Mistral-7B-v0.1 --quant q8_0 q4_k_m -o models
  convert peiyi9979/math-shepherd-mistral-7b-prm --role reward --quant q4_k_m
  convert my-prm --protocol scores.json --dry-run
  convert ezelikman/quietstar-8-ahead --quant q4_k_m --thought-embedding dash
  convert model-f16.gguf --quant iq2_xs --calibrate wiki.train.raw
  convert mistralai/Mistral-7B-v0.1 --format onnx --quant int8 int4
"""


def parser() -> argparse.ArgumentParser:
    """The command line of `convert`."""
    p = argparse.ArgumentParser(
        prog="convert",
        description="Convert a model to GGUF or ONNX at one or several quantization levels.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", metavar="SOURCE", nargs="?", default="reference:policy")
    p.add_argument("--quant", metavar="LEVEL", nargs="+", help="default: q4_k_m, int4 for onnx")
    p.add_argument("--format", choices=FORMATS, default="gguf")
    p.add_argument("--role", choices=get_args(Role), help="default: detected")
    p.add_argument(
        "--thought-embedding",
        choices=get_args(ThoughtEmbedding),
        help="how a thinker's thoughts begin and end: trained (default), or the embedding of ---",
    )
    p.add_argument("--tokenizer", metavar="SOURCE", help="take that of another checkpoint")
    p.add_argument("--adapter", metavar="SOURCE", help="merge a LoRA adapter into it")
    p.add_argument(
        "--protocol",
        type=Path,
        metavar="FILE",
        help="role, prompt, reward and thought protocol, in the form of protocol.json",
    )
    p.add_argument(
        "--separator",
        type=lambda text: text.replace("\\n", "\n"),
        metavar="TEXT",
        help=r"what a token classifier (TRL) scores steps at: \n or \n\n (default: by its name)",
    )
    p.add_argument("-o", "--output", type=Path, metavar="FOLDER", default=Path("models"))
    p.add_argument("--imatrix", type=Path, metavar="FILE", help="importance matrix to use")
    p.add_argument("--calibrate", type=Path, metavar="TEXT", help="compute one from a text")
    p.add_argument("--dry-run", action="store_true", help="show what would be written")
    p.add_argument("--list", action="store_true", help="show all levels")
    p.add_argument("--force", action="store_true", help="overwrite existing files")
    p.add_argument("--offline", action="store_true", help="never ask the hub")
    p.add_argument("--json", action="store_true", help="print one JSON document")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `convert`; returns the exit code."""
    commands = parser()
    options = commands.parse_args(arguments)
    wanted = options.quant or [DEFAULTS[options.format]]
    try:
        parsed = [parse(name, (options.format,)) for name in wanted]
    except UnknownLevel as error:
        commands.error(f"argument --quant: {_level_error(wanted, error)}")
    options.quant = list(dict.fromkeys(parsed))
    return run("convert", lambda: _convert(options), supervised=arguments is None)


def _level_error(names: Sequence[str], error: UnknownLevel) -> str:
    """What is wrong; a SOURCE after --quant is taken for a level."""
    paths = [name for name in names if any(mark in name for mark in "/:.\\")]
    return f"put SOURCE before --quant: {paths[0]}" if paths else str(error)


def _convert(options: argparse.Namespace) -> None:
    if options.list:
        known = NAMES[options.format].values()
        _print(options, [asdict(level) for level in known], _level_table(known))
        return
    from convert.build import build
    from convert.order import Order, requantizes
    from convert.progress import Progress
    from convert.sources import resolve
    from convert.stated import read_given

    if options.imatrix and options.calibrate:
        raise Refusal("give --imatrix or --calibrate, not both")
    order = Order(
        resolve(
            options.source,
            tokenizer=options.tokenizer,
            adapter=options.adapter,
            offline=options.offline,
        ),
        options.quant,
        options.output,
        options.role,
        options.imatrix,
        options.calibrate,
        options.force,
        options.thought_embedding,
        read_given(options.protocol) if options.protocol else None,
        options.separator,
    )
    if warning := requantizes(order):
        say(f"convert: warning: {warning}", sys.stderr)
    if options.dry_run:
        _dry_run(options, order)
        return
    artifacts = build(order, Progress(None if options.json else sys.stderr))
    _print(options, [_document(a) for a in artifacts], _table(artifacts))


def _dry_run(options: argparse.Namespace, order: Order) -> None:
    checkpoint = order.checkpoint()
    identity = order.identity(checkpoint)
    weights = order.weights(checkpoint, identity.role)
    documents = [
        {
            "path": str(order.path(level)),
            "level": level.name,
            "bits_per_weight": weights.bits(level),
            "size_bytes_estimated": weights.size_bytes(level),
            "exists": order.path(level).exists(),
            "identity": asdict(identity),
        }
        for level in order.levels
    ]
    count = f"{weights.total / 1e6:,.1f} M weights"
    heading = f"{order.source.origin}: {count}, role {identity.role}; nothing written"
    lines = [heading, *_protocols(identity), "", _level_table(order.levels, weights)]
    _print(options, documents, "\n".join(lines))


def _protocols(identity: Identity) -> Iterator[str]:
    """A line for each way in which the model will be used."""
    for name in ("prompt", "reward", "thought"):
        protocol = getattr(identity, name)
        if protocol is not None:
            said = {key: value for key, value in asdict(protocol).items() if value is not None}
            yield f"{name}: {', '.join(f'{key} {shown(value)}' for key, value in said.items())}"


def _level_table(levels: Iterable[AnyLevel], weights: Weights | None = None) -> str:
    """Levels with bits per weight, size, and what is known of each."""
    rows = []
    title = ""
    for level in levels:
        bits = weights.bits(level) if weights else level.bits
        size = (
            f"{weights.size_bytes(level) / 1e6:,.1f} MB" if weights else f"{7.24 * bits / 8:.2f} GB"
        )
        rows.append(f"{level.name:<9} {bits:>11.2f} {size:>10}  {level.note}")
        title = level.title
    heading = f"{'level':<9} {'bits/weight':>11} {'size':>10}  {title}"
    note = "sizes are estimated" + ("" if weights else " for Mistral-7B (7.24 B weights)")
    return "\n".join([heading, *rows, "", note])


def _table(artifacts: Sequence[Artifact]) -> str:
    lines = [f"{'level':<9} {'bits/weight':>11} {'size':>12}  file"]
    lines += [
        f"{a.level:<9} {a.bits_per_weight:>11.2f} {a.size_bytes / 1e6:>9,.1f} MB  {a.path}"
        + (f" ({note})" if (note := _note(a)) else "")
        for a in artifacts
    ]
    heads = dict.fromkeys(a.heads_path for a in artifacts if a.heads_path)
    return "\n".join([*lines, *(f"{'heads':<34}  {path}" for path in heads)])


def _document(artifact: Artifact) -> dict[str, object]:
    return asdict(artifact) | {"path": str(artifact.path), "note": _note(artifact)}


def _note(artifact: Artifact) -> str:
    """What of a file is not what its name says."""
    from convert.gguf_header import read_header
    from convert.gguf_level import unblocked

    return (
        unblocked(read_header(artifact.path), artifact.level) if artifact.format == "gguf" else ""
    )


def _print(options: argparse.Namespace, document: object, text: str) -> None:
    say(json.dumps(document, ensure_ascii=False) if options.json else text)
