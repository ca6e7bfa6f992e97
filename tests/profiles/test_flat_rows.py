"""Rows of parts, flat and back."""

from __future__ import annotations

import json
from dataclasses import dataclass

from convert.typed import typed
from profiles.flat_rows import flat, nested
from profiles.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Inner:
    a: int
    share: Estimate | None


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    tau: Estimate
    inner: Inner | None
    last: int | None


FULL = Outer("x", Estimate(1.0, 0.5, 2.0), Inner(3, Estimate(0.0, -1.0, 1.0)), 4)
BARE = Outer("y", Estimate(1.0, 0.5, 2.0), None, None)
NAMES = ["name", "tau", "tau_low", "tau_high", "a", "share", "share_low", "share_high", "last"]


def test_parts_lie_side_by_side_in_their_order() -> None:
    assert list(flat(FULL).items()) == list(
        zip(NAMES, ["x", 1.0, 0.5, 2.0, 3, 0.0, -1.0, 1.0, 4], strict=True)
    )
    assert list(flat(BARE)) == NAMES
    assert set(list(flat(BARE).values())[4:]) == {None}


def test_what_is_flat_becomes_parts_again() -> None:
    for row in (FULL, BARE, Outer("z", FULL.tau, Inner(0, None), None)):
        assert typed(Outer, json.dumps(nested(Outer, flat(row))).encode(), "no row") == row
    assert "tau" in nested(Outer, {"tau": 1.0, "tau_low": 0.5})
    assert "name" not in nested(Outer, {"tau": 1.0})
