"""Joint placement against every combination there is, and on shapes whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from convert.units import GIB
from profiles.plan.model_tensors import model_tensors
from runtime import placement
from runtime.footprint import MARGIN_BYTES, Footprint, Load, footprint
from runtime.options import BATCHES
from runtime.placement import Seat, StepWork, Tenant, quickest, seating, seats_of, works

SHAPE = model_tensors("mistral-7b").shape
PATHS, STEP, CELLS = 16, 96, 14_464


def mistral(level: str, work: tuple[StepWork, ...], cells: int = CELLS) -> Tenant:
    model = model_tensors("mistral-7b")
    types = model.types_at(level)

    def footprint_of(share: float, batch: int) -> Footprint:
        load = Load(int(cells * share), 34, tokens=2048, rows=34, batch=batch)
        return footprint(model.tensors, types, model.shape, load)

    return Tenant(footprint_of, model.shape, work)


def by_trying(room: int, models: Sequence[Sequence[Seat]]) -> tuple[float, int]:
    """The least time of all combinations, and the least bytes that reach it."""
    totals = [
        (sum(seat.seconds for seat in seats), sum(seat.card_bytes for seat in seats))
        for seats in product(*models)
    ]
    return min((time, size) for time, size in totals if size <= room)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_combination_is_quicker(seed: int, count: int) -> None:
    """Whole numbers of seconds, so that sums are exact and many are equal."""
    rng = np.random.default_rng([seed, count])
    models = [
        [Seat(0, 512, 0, float(rng.integers(20, 40)))]
        + [
            Seat(n, 512, int(rng.integers(1, 12)), float(rng.integers(1, 30)))
            for n in range(1, int(rng.integers(2, 9)))
        ]
        for _ in range(count)
    ]
    for room in range(-2, 34):
        seats = quickest(room, models)
        expected = (sum(models[n][0].seconds for n in range(count)), 0)
        expected = min(expected, by_trying(max(room, 0), models))
        assert (sum(s.seconds for s in seats), sum(s.card_bytes for s in seats)) == expected
        assert all(seat in model for seat, model in zip(seats, models, strict=True))


def small_tenant(rng: np.random.Generator, work: tuple[StepWork, ...]) -> Tenant:
    """Three layers of sizes of their own, a cache and buffers that depend on share and batch."""
    layers = tuple(int(n) << 20 for n in rng.integers(20, 300, 3))
    output, cache = (int(n) << 20 for n in rng.integers(20, 300, 2))
    shape = replace(SHAPE, layers=3)

    def footprint_of(share: float, batch: int) -> Footprint:
        return Footprint(
            embedding=0,
            layers=layers,
            output=output,
            tied=False,
            repacked=(0, 0, 0),
            repacked_output=0,
            kv=int(cache * share),
            compute=batch << 19,
            compute_used=0,
            rows=0,
            tables=0,
        )

    return Tenant(footprint_of, shape, work)


@pytest.mark.parametrize("seed", range(12))
def test_the_seating_is_the_best_of_all_layers_batches_and_caches(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = [small_tenant(rng, work) for work in works(int(rng.integers(1, 32)), 48)]
    shares = (1.0, 0.5, 0.25)
    everything = {}
    for share in shares:
        for picks in product(product(range(5), BATCHES), repeat=2):
            prints = [t.footprint(share, b) for t, (_, b) in zip(pair, picks, strict=True)]
            size = sum(p.card_bytes(n) for p, (n, _) in zip(prints, picks, strict=True))
            time = sum(
                placement.seconds(p, t.shape, part, share, n, b)
                for p, t, (n, b) in zip(prints, pair, picks, strict=True)
                for part in t.work
            )
            everything[share, picks] = time, size
    for free in range(0, 3 * GIB, GIB // 8):
        found = seating(free, pair, shares)
        room = max(0, free - MARGIN_BYTES)
        least = min(time for time, size in everything.values() if size <= room)
        assert found.seconds == pytest.approx(least, rel=1e-9)
        assert found.card_bytes <= room


def test_what_fits_goes_on_the_card_whole_with_the_usual_batch() -> None:
    pair = [mistral("q4_k_m", work) for work in works(PATHS, STEP)]
    found = seating(24 * GIB, pair)
    assert [(seat.layers, seat.batch) for seat in found.seats] == [(33, 512), (33, 512)]


def test_a_small_card_holds_the_policy_first_and_never_less_time_than_a_larger_one() -> None:
    """The policy passes over its layers for every token, the reward model once a step."""
    pair = [mistral("q4_k_m", work, 4096) for work in works(PATHS, STEP)]
    before = None
    for free in range(GIB, 13 * GIB, GIB // 2):
        found = seating(free, pair)
        assert found.card_bytes + MARGIN_BYTES <= max(free, MARGIN_BYTES)
        assert before is None or found.seconds <= before.seconds
        before = found
    half = seating(7 * GIB, pair)
    assert half.seats[0].layers == 33
    assert 0 < half.seats[1].layers < 33


def test_both_models_get_a_part_where_that_is_quicker_than_either_first() -> None:
    """Two models of the same work share a card; one after the other would starve the second."""
    work = (StepWork(96, 4, 4),)
    pair = [mistral("q4_k_m", work, 2048), mistral("q2_k", work, 2048)]
    found = seating(6 * GIB, pair)
    for first in range(2):
        alone = quickest(5 * GIB, [seats_of(pair[first])])
        rest = quickest(5 * GIB - alone[0].card_bytes, [seats_of(pair[1 - first])])
        assert found.seconds <= alone[0].seconds + rest[0].seconds


def test_a_smaller_cache_makes_room_for_layers() -> None:
    pair = [mistral("q4_k_m", work, 65_536) for work in works(64, STEP)]
    shares = (1.0, 0.5, 0.25, 0.125)
    assert seating(40 * GIB, pair, shares).share == 1.0
    small = seating(13 * GIB, pair, shares)
    assert small.share < 1.0
    assert small.seconds < seating(13 * GIB, pair).seconds
