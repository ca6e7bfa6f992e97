"""`profile plan`: will it fit, at which levels, and with how many layers on the card."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from methods.cli import METHODS

if TYPE_CHECKING:
    from profiles.outlines import Outline
    from profiles.plan import Choice, Placement, Search

GIB = 1 << 30
EPILOG = """\
MODEL is a .gguf file, a checkpoint folder, reference:NAME, a hub id that is in the local cache, or
a shape by name, with no file at hand: mistral-7b, llama-3-8b, qwen2.5-7b, ...

examples:
  profile plan --policy mistral-7b --reward mistral-7b --width 16 --context 1024 --vram 8 12 24
  profile plan --policy models/p-q4_k_m.gguf --reward models/r-q4_k_m.gguf --width 8 --vram 12
  profile plan --policy qwen2.5-7b --method majority --width 32 --vram 12 --quant q8_0 q4_k_m
"""


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    p = commands.add_parser(
        "plan",
        help="compute what fits a card before anything is downloaded",
        description="Memory of a search, computed from the shapes of its models; nothing is run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--policy", metavar="MODEL", default="reference:policy", help="see below")
    p.add_argument(
        "--reward", metavar="MODEL", help="likewise; default with a reference policy: its own"
    )
    p.add_argument("--method", choices=METHODS, default="rebase")
    p.add_argument(
        "--width", type=_count, metavar="N", default=8, help="paths, or REBASE width (default: 8)"
    )
    p.add_argument(
        "--context",
        type=_count,
        metavar="TOKENS",
        default=1024,
        help="of one path, prompt included (default: 1024)",
    )
    p.add_argument(
        "--prompt",
        type=_count,
        metavar="TOKENS",
        default=128,
        help="of them, the prompt that all paths share (default: 128)",
    )
    p.add_argument(
        "--cells",
        type=_count,
        metavar="TOKENS",
        help="of the whole KV cache, as solve --context (default: what the paths need)",
    )
    p.add_argument("--kv-type", choices=("f16", "q8_0", "q4_0"), default="f16")
    p.add_argument("--think", action="store_true", help="the policy is a Quiet-STaR model")
    p.add_argument(
        "--quant",
        nargs="+",
        type=_level,
        metavar="LEVEL",
        help="levels to consider (default: f16 q8_0 q6_k q5_k_m q4_k_m q3_k_m q2_k)",
    )
    p.add_argument(
        "--vram",
        nargs="+",
        type=_gib,
        metavar="GIB",
        default=[8.0, 12.0, 24.0],
        help="sizes of cards (default: 8 12 24)",
    )
    p.add_argument("--json", action="store_true", help="print one JSON document")


def execute(options: argparse.Namespace) -> None:
    """Print the plan.

    Raises:
        FileNotFoundError: if a model is not here.
        ValueError: for a search that cannot be, or a method without its reward model.
    """
    from profiles.outlines import outline
    from profiles.plan import Search, choices

    models = [outline(name) for name in _names(options)]
    search = Search(
        1 if options.method == "greedy" else options.width,
        options.context,
        options.prompt,
        options.kv_type,
        options.think,
        options.cells,
    )
    quant = list(dict.fromkeys(options.quant)) if options.quant else None
    found = choices(models, quant, search)
    for model in models:
        if search.context > model.shape.context:
            print(
                f"profile: warning: {model.name} was made for {model.shape.context} tokens, "
                f"a path has {search.context}",
                file=sys.stderr,
            )
    cards = [int(gib * GIB) for gib in dict.fromkeys(options.vram)]
    if options.json:
        print(json.dumps(_document(options.method, models, search, found, cards)))
    else:
        print(_text(options.method, models, search, found, cards))


def _names(options: argparse.Namespace) -> list[str]:
    if options.method in ("greedy", "majority"):
        return [options.policy]
    reward = options.reward
    if reward is None and options.policy.startswith("reference:"):
        reward = "reference:reward"
    if reward is None:
        raise ValueError(
            f"{options.method} needs a reward model; give --reward, or choose --method greedy or "
            "majority"
        )
    return [options.policy, reward]


def _text(
    method: str,
    models: Sequence[Outline],
    search: Search,
    found: Sequence[Choice],
    cards: Sequence[int],
) -> str:
    from profiles.plan import even

    rows = list(even(found))
    titles = ["policy", "reward"][: len(models)] + ["weights", "KV", "unshared", "compute"]
    titles += ["on a card", "RAM, no card", *(f"{card / GIB:g} GiB card" for card in cards)]
    lines = [titles, *(_cells(choice, cards) for choice in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(titles))]
    table = [
        "  ".join(
            text.ljust(width) if n < len(models) else text.rjust(width)
            for n, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*_head(method, models, search), "", *table, "", *_advice(found, cards)])


def _head(method: str, models: Sequence[Outline], search: Search) -> list[str]:
    roles = ("policy", "reward")
    described = [
        f"{role}: {model.name}, {_weights(model.weights)} weights, from {model.origin}"
        for role, model in zip(roles, models, strict=False)
    ]
    thoughts = ", 7 more cells each for thoughts" if search.think else ""
    return [
        *described,
        f"{method}, width {search.width}: paths of {search.context} tokens, {search.prompt} of "
        f"them a shared prompt{thoughts}; cache {search.kv_type}",
        f"open with: --width {search.width} --context {search.shared_cells}"
        + (f" --kv-type {search.kv_type}" if search.kv_type != "f16" else ""),
        "sizes in GiB; KV with the prompt shared, and unshared if every path kept its own",
    ]


def _cells(choice: Choice, cards: Sequence[int]) -> list[str]:
    prints = [need.footprint for need in choice.needs]
    return [
        *(need.level for need in choice.needs),
        _size(sum(p.weights for p in prints)),
        _size(sum(p.kv for p in prints)),
        _size(sum(need.kv_unshared for need in choice.needs)),
        _size(sum(p.compute for p in prints)),
        _size(choice.card_bytes),
        _size(choice.ram_bytes),
        *(_verdict(choice, choice.on(card)) for card in cards),
    ]


def _verdict(choice: Choice, place: Placement) -> str:
    """`fits, 1.2 free`, with a star where the engines leave layers out by themselves."""
    every = tuple(need.card_layers for need in choice.needs)
    if place.fits:
        return f"fits, {_size(place.spare_bytes)} free" + ("*" if place.layers != every else "")
    counts = " + ".join(f"{have}/{all_}" for have, all_ in zip(place.layers, every, strict=True))
    return f"no: {counts} layers"


def _advice(found: Sequence[Choice], cards: Sequence[int]) -> list[str]:
    from profiles.plan import best

    lines = ["1 GiB of a card stays free for driver and desktop. Best that fit, by the perplexity"]
    lines += ["loss that llama.cpp states for both levels; measure with profile run:"]
    starred = False
    for card in cards:
        chosen = best(found, card)
        named = "; ".join(_named(choice, card) for choice in chosen)
        lines.append(f"  {card / GIB:g} GiB: {named or 'none'}")
        starred = starred or any(_starred(choice, card) for choice in [*chosen, *found])
    if starred:
        most = max(need.card_layers for choice in found for need in choice.needs)
        lines.append(
            f"* the engines leave 1.5 GiB free before each model; --gpu-layers {most} puts all there"
        )
    return lines


def _starred(choice: Choice, card: int) -> bool:
    return _verdict(choice, choice.on(card)).endswith("*")


def _named(choice: Choice, card: int) -> str:
    levels = " + ".join(need.level for need in choice.needs)
    star = "*" if _starred(choice, card) else ""
    return f"{levels} ({_size(choice.card_bytes)}){star}"


def _document(
    method: str,
    models: Sequence[Outline],
    search: Search,
    found: Sequence[Choice],
    cards: Sequence[int],
) -> dict[str, Any]:
    from profiles.plan import best

    return {
        "method": method,
        "models": [
            {"name": m.name, "weights": m.weights, "origin": m.origin, "level": m.level}
            for m in models
        ],
        "width": search.width,
        "path_tokens": search.context,
        "prompt_tokens": search.prompt,
        "cells": search.shared_cells,
        "unshared_cells": search.unshared_cells,
        "branches": search.branches,
        "kv_type": search.kv_type,
        "think": search.think,
        "choices": [_choice(choice, cards) for choice in found],
        "best": {f"{card / GIB:g}": [_levels(c) for c in best(found, card)] for card in cards},
    }


def _choice(choice: Choice, cards: Sequence[int]) -> dict[str, Any]:
    parts = [
        {
            "level": need.level,
            "weights_bytes": need.footprint.weights,
            "kv_bytes": need.footprint.kv,
            "kv_unshared_bytes": need.kv_unshared,
            "compute_bytes": need.footprint.compute,
            "logits_bytes": need.footprint.rows,
            "talk_head_bytes": need.talk_head,
            "card_bytes": need.card_bytes,
            "ram_bytes": need.footprint.ram_bytes() + need.talk_head,
            "layers": need.card_layers,
        }
        for need in choice.needs
    ]
    places = []
    for card in cards:
        place = choice.on(card)
        places.append(
            {
                "vram_bytes": card,
                "fits": place.fits,
                "spare_bytes": place.spare_bytes,
                "automatic_layers": list(place.layers),
                "automatic_card_bytes": place.card_bytes,
                "automatic_ram_bytes": place.ram_bytes,
            }
        )
    return {
        "levels": _levels(choice),
        "card_bytes": choice.card_bytes,
        "ram_bytes": choice.ram_bytes,
        "models": parts,
        "cards": places,
    }


def _levels(choice: Choice) -> list[str]:
    return [need.level for need in choice.needs]


def _size(size_bytes: float) -> str:
    """GiB with so many decimals that a small model shows."""
    gib = size_bytes / GIB
    return f"{gib:.2f}" if abs(gib) >= 0.095 else f"{gib:.4f}"


def _weights(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _gib(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in GiB")
    return value


def _level(text: str) -> str:
    from convert.levels import parse_level

    try:
        return parse_level(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
