"""Where models that share a card go: layers, batches and KV caches of all of them, chosen together.

The time of a question is a roofline: a pass over a layer reads its weights and its part of the KV
cache once, from the card's memory or from main memory, or computes, whichever takes longer. The
rates are of a usual card and a usual CPU, to the order of magnitude: they order placements, they
forecast no time. The same numbers always give the same placement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from convert.artifact import Shape
from runtime.footprint import MARGIN_BYTES, Footprint
from runtime.options import BATCHES

BUS_BYTES_PER_S = 1.2e10  # from main memory to a card
BUS_TOKENS = 32  # from so many in a pass on llama.cpp sends weights over the bus to be used there
PROMPT_TOKENS = 512  # that both models read once a question
STEPS = 4  # of a path, for each prompt

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rates:
    """What a device does in a second at best, and what starting a layer costs it."""

    bytes_per_s: float
    flops: float
    layer_s: float

    def seconds(self, read_bytes: float, flops: float) -> float:
        """Of one pass over one layer."""
        return self.layer_s + max(read_bytes / self.bytes_per_s, flops / self.flops)


CPU = Rates(4e10, 2e11, 0.0)
CARD = Rates(4e11, 5e13, 3e-5)


@dataclass(frozen=True, slots=True)
class StepWork:
    """What a search asks of a model: so many calls of so many tokens and rows of logits each."""

    calls: float
    tokens: float
    rows: float


def works(paths: int, step_tokens: int) -> tuple[tuple[StepWork, ...], tuple[StepWork, ...]]:
    """What a step of all paths asks of the policy, and of the reward model that reads the step."""
    prompt = StepWork(1 / STEPS, PROMPT_TOKENS, 1)
    return (
        (prompt, StepWork(step_tokens, paths, paths)),
        (prompt, StepWork(1, paths * step_tokens, paths)),
    )


@dataclass(frozen=True, slots=True)
class Tenant:
    """A model that wants room on a card."""

    footprint: Callable[[float, int], Footprint]  # with a share of its KV cache, and a batch
    shape: Shape
    work: tuple[StepWork, ...]


@dataclass(frozen=True, slots=True)
class Seat:
    """One way to open a model, and what a step then takes of it."""

    layers: int  # on the card, the output counted as one
    batch: int  # tokens computed at a time
    card_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Seating:
    """A seat for each model; together they leave `MARGIN_BYTES` of a card free."""

    share: float  # of the KV caches that were asked for
    seats: tuple[Seat, ...]

    @property
    def card_bytes(self) -> int:
        return sum(seat.card_bytes for seat in self.seats)

    @property
    def seconds(self) -> float:
        return sum(seat.seconds for seat in self.seats)


def seating(
    free_bytes: int, tenants: Sequence[Tenant], shares: Sequence[float] = (1.0,)
) -> Seating:
    """The seats that take the least time; of equals those that take the least of the card.

    With several `shares` a smaller KV cache may make room for layers: its paths then take turns, in
    calls that hold fewer of them.
    """
    room, found = free_bytes - MARGIN_BYTES, []
    for share in shares:
        choices = [seats_of(tenant, share) for tenant in tenants]
        found.append(Seating(share, quickest(room, choices)))
    return min(found, key=lambda one: (one.seconds, one.card_bytes))


def seats_of(tenant: Tenant, share: float = 1.0) -> list[Seat]:
    """Every number of layers with every batch, but for those that others excel."""
    found = []
    for batch in BATCHES:
        footprint = tenant.footprint(share, batch)
        for layers in range(len(footprint.layers) + 2):
            took = sum(
                seconds(footprint, tenant.shape, part, share, layers, batch) for part in tenant.work
            )
            found.append(Seat(layers, batch, footprint.card_bytes(layers), took))
    return _excelling(found, lambda seat: (seat.card_bytes, seat.seconds))


def seconds(
    footprint: Footprint, shape: Shape, work: StepWork, share: float, layers: int, batch: int
) -> float:
    """Of some work, with so many layers on the card; the embedding's rows cost nothing."""
    held = max(1.0, work.tokens * share)  # in a call
    passes = math.ceil(held / batch)
    cache = footprint.kv / len(footprint.layers)
    flops = 2 * held / passes * shape.linear_parameters / len(footprint.layers)
    kept = len(footprint.layers) - max(0, layers - 1)
    sent = layers > 0 and held / passes >= BUS_TOKENS
    total = 0.0
    for number, weights in enumerate(footprint.layers):
        if number >= kept:
            total += CARD.seconds(weights + cache, flops)
        elif sent:
            bus = weights / BUS_BYTES_PER_S
            total += bus + CARD.seconds(weights, flops) + cache / CPU.bytes_per_s
        else:
            total += CPU.seconds(weights + cache, flops)
    rows = work.rows * held / work.tokens / passes
    output = (CARD if layers else CPU).seconds(footprint.output, 2 * rows * shape.head_parameters)
    return work.calls * work.tokens / held * passes * (total + output)


def quickest(room: int, models: Sequence[Sequence[Seat]]) -> tuple[Seat, ...]:
    """A seat for each model: all fit into `room` bytes, and take the least time, then room.

    Each model has a seat of 0 bytes. Of the first models only seats that excel are tried on.
    """
    best: list[tuple[int, float, tuple[Seat, ...]]] = [(0, 0.0, ())]
    for seats in models:
        grown = [
            (taken + seat.card_bytes, spent + seat.seconds, (*chosen, seat))
            for taken, spent, chosen in best
            for seat in seats
            if seat.card_bytes == 0 or taken + seat.card_bytes <= room
        ]
        best = _excelling(grown, lambda one: one[:2])
    return best[-1][2]


def _excelling(found: Sequence[T], cost: Callable[[T], tuple[int, float]]) -> list[T]:
    """From the smallest to the quickest: whatever is not both larger and slower than another."""
    kept: list[T] = []
    for one in sorted(found, key=cost):
        if not kept or cost(one)[1] < cost(kept[-1])[1]:
            kept.append(one)
    return kept
