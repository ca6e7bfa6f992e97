"""Models that share one card: how each is opened, settled before the first of them is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from convert import selftest
from convert.artifact import Artifact
from convert.gguf_header import Header, read_header
from convert.printing import say
from convert.units import GIB
from runtime import devices
from runtime.engine_footprint import engine_footprint
from runtime.footprint import MARGIN_BYTES, Footprint
from runtime.options import BATCHES, EngineOptions
from runtime.placement import Seating, StepWork, Tenant, seating, works

ROLES = ("policy", "reward")
SHARES = (1.0, 0.5, 0.25)  # of the KV caches


def share_card(
    models: Sequence[tuple[Artifact, EngineOptions]],
    paths: int,
    step_tokens: int,
    least: int | None = None,
) -> list[EngineOptions]:
    """Options to open a policy with, and a reward model if there is one, on the card they share.

    They search with `paths` paths, `step_tokens` a step. Where branches can take turns, KV caches
    may shrink to `least` tokens to make room for layers; with None they are as asked for. Options
    are as given where nothing is to be settled; else one line on stderr says where both models go.
    """
    given = [options for _, options in models]
    if not all(artifact.format == "gguf" and _open_choice(one) for artifact, one in models):
        return given
    headers = [read_header(one.path) for one, _ in models]
    cards = devices.llama_cards(given[0].device)
    types = {tensor.type for header in headers for tensor in header.tensors}
    if not cards or selftest.card_fault(types):
        return given  # each engine says why it is not on a card
    card = max(cards, key=lambda c: c.free_bytes)
    work = works(paths, step_tokens)
    tenants = [_tenant(*m, header, w) for m, header, w in zip(models, headers, work, strict=False)]
    smallest = min(one.context for one in given)
    shares = [s for s in SHARES if s == 1 or (least is not None and s * smallest >= least)]
    found = seating(card.free_bytes, tenants, shares)
    settled = [
        replace(
            options,
            gpu_layers=seat.layers,
            batch=seat.batch,
            context=int(options.context * found.share),
        )
        for options, seat in zip(given, found.seats, strict=True)
    ]
    layers = [artifact.shape.layers + 1 for artifact, _ in models]
    say(seating_line(card, found, layers), sys.stderr)
    return settled


def seating_line(card: devices.Card, found: Seating, layers: Sequence[int]) -> str:
    """Where models of so many layers go, the output of each counted as one.

    `card: NAME, 7.5 GiB free: policy 33 of 33 layers, reward 12 of 33; 1.0 GiB stays free`
    """
    parts = [
        f"{role} {seat.layers} of {most} layers"
        + (f" in batches of {seat.batch}" if seat.batch != BATCHES[0] else "")
        for role, seat, most in zip(ROLES, found.seats, layers, strict=False)
    ]
    left = (card.free_bytes - found.card_bytes) / GIB
    cache = f"; KV caches at {found.share:.0%}" if found.share < 1 else ""
    return (
        f"card: {card.name}, {card.free_bytes / GIB:.1f} GiB free: {', '.join(parts)}{cache}; "
        f"{left:.1f} GiB left, {MARGIN_BYTES / GIB:.0f} of them for the desktop"
    )


def _open_choice(options: EngineOptions) -> bool:
    return options.device != "cpu" and options.gpu_layers is None


def _tenant(
    artifact: Artifact, options: EngineOptions, header: Header, work: tuple[StepWork, ...]
) -> Tenant:
    def footprint(share: float, batch: int) -> Footprint:
        cells = int(options.context * share)
        return engine_footprint(
            header, artifact.shape, replace(options, context=cells, batch=batch)
        )

    return Tenant(footprint, artifact.shape, work)
