"""A plan as people read it, and as a document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.units import GIB
from profiles.plan.measure import (
    THOUGHT_CELLS,
    Choice,
    Need,
    Placement,
    Plan,
    best,
    even,
    relieved,
)
from profiles.tables import aligned
from profiles.text_formats import gib

ROLES = ("policy", "reward")


def text(plan: Plan) -> str:
    """What was planned, a table of choices, and the best for every card."""
    return "\n".join([*_head(plan), "", *_table(plan), "", *_advice(plan)])


def document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data; every size in bytes."""
    search = plan.search
    return {
        "method": plan.method,
        "models": [
            {"name": m.name, "weights": m.weights, "origin": m.origin, "level": m.level}
            for m in plan.models
        ],
        "width": search.width,
        "path_tokens": search.context,
        "prompt_tokens": search.prompt,
        "cells": search.shared_cells,
        "unshared_cells": search.unshared_cells,
        "branches": search.branches,
        "kv_type": search.kv_type,
        "think": search.think,
        "choices": [_choice(choice, plan.cards) for choice in plan.choices],
        "best": [
            {
                "vram_bytes": card,
                "levels": [choice.levels for choice in best(plan.choices, card)],
                "relieved": [
                    {"how": how, "levels": choice.levels, "card_bytes": choice.card_bytes}
                    for how, choice in relieved(plan, card)
                ],
            }
            for card in plan.cards
        ],
    }


def _head(plan: Plan) -> list[str]:
    search = plan.search
    described = [
        f"{role}: {model.name}, {_weights(model.weights)} weights, from {model.origin}"
        for role, model in zip(ROLES, plan.models, strict=False)
    ]
    thoughts = f", {THOUGHT_CELLS} more cells each for thoughts" if search.think else ""
    kv_type = f" --kv-type {search.kv_type}" if search.kv_type != "f16" else ""
    return [
        *described,
        f"{plan.method}, width {search.width}: paths of {search.context} tokens, "
        f"{search.prompt} of them a shared prompt{thoughts}; cache {search.kv_type}",
        f"open with: --width {search.width} --context {search.shared_cells}{kv_type}",
        "sizes in GiB; KV with the prompt shared, and unshared if every path kept its own",
    ]


def _table(plan: Plan) -> list[str]:
    roles = ROLES[: len(plan.models)]
    titles = [*roles, "weights", "KV", "unshared", "compute", "on a card", "RAM, no card"]
    titles += [f"{gib(card)} card" for card in plan.cards]
    lines = [titles, *(_cells(choice, plan.cards) for choice in even(plan.choices))]
    numbers = [n >= len(roles) for n in range(len(titles))]
    return aligned(lines, numbers).splitlines()


def _cells(choice: Choice, cards: Sequence[int]) -> list[str]:
    prints = [need.footprint for need in choice.needs]
    return [
        *choice.levels,
        _size(sum(p.weights for p in prints)),
        _size(sum(p.kv for p in prints)),
        _size(sum(need.kv_unshared for need in choice.needs)),
        _size(sum(p.compute for p in prints)),
        _size(choice.card_bytes),
        _size(choice.ram_bytes),
        *(_verdict(choice, choice.on(card)) for card in cards),
    ]


def _verdict(choice: Choice, place: Placement) -> str:
    """`fits, 1.2 free`, or how many layers of each model the commands put on the card."""
    if place.fits:
        return f"fits, {_size(place.spare_bytes)} free"
    if tuple(seat.layers for seat in place.seats) == choice.card_layers:
        return f"fits in batches of {min(seat.batch for seat in place.seats)}"
    counts = (
        f"{seat.layers}/{most}" for seat, most in zip(place.seats, choice.card_layers, strict=True)
    )
    return f"no: {' + '.join(counts)} layers"


def _advice(plan: Plan) -> list[str]:
    lines = [
        "1 GiB of a card stays free for driver and desktop. The best that fit, by the perplexity",
        "loss that llama.cpp states for the levels (an estimate; profile run measures):",
    ]
    for card in plan.cards:
        named = "; ".join(_named(choice) for choice in best(plan.choices, card))
        lines.append(f"  {gib(card)}: {named or 'none'}")
        lines += [f"    {how}: {_named(choice)}" for how, choice in relieved(plan, card)]
    return lines


def _named(choice: Choice) -> str:
    return f"{' + '.join(choice.levels)} ({_size(choice.card_bytes)})"


def _choice(choice: Choice, cards: Sequence[int]) -> dict[str, Any]:
    return {
        "levels": choice.levels,
        "card_bytes": choice.card_bytes,
        "ram_bytes": choice.ram_bytes,
        "models": [_need(need) for need in choice.needs],
        "cards": [_place(choice.on(card)) for card in cards],
    }


def _need(need: Need) -> dict[str, Any]:
    return {
        "level": need.level,
        "weights_bytes": need.footprint.weights,
        "kv_bytes": need.footprint.kv,
        "kv_unshared_bytes": need.kv_unshared,
        "compute_bytes": need.footprint.compute,
        "logits_bytes": need.footprint.rows,
        "talk_head_bytes": need.talk_head,
        "card_bytes": need.card_bytes,
        "ram_bytes": need.ram_bytes(),
        "layers": need.card_layers,
    }


def _place(place: Placement) -> dict[str, Any]:
    return {
        "vram_bytes": place.vram_bytes,
        "fits": place.fits,
        "spare_bytes": place.spare_bytes,
        "automatic_layers": [seat.layers for seat in place.seats],
        "automatic_batches": [seat.batch for seat in place.seats],
        "automatic_card_bytes": place.card_bytes,
        "automatic_ram_bytes": place.ram_bytes,
    }


def _size(size_bytes: float) -> str:
    """GiB, with so many decimals that a small model shows."""
    value = size_bytes / GIB
    return f"{value:.2f}" if abs(value) >= 0.095 else f"{value:.4f}"


def _weights(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"
