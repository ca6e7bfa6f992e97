"""Cells of a shared cache, against branches that keep lists of their tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.onnx_cells import Cells

SLOTS, CAPACITY = 6, 64


def _ints(values: Any) -> Any:
    return np.asarray(values, np.int32)


class Plain:
    """The same bookkeeping, naively: what every slot holds, and the token in every cell."""

    def __init__(self) -> None:
        self.texts: dict[int, list[int]] = {slot: [] for slot in range(SLOTS)}
        self.cells: list[int] = []


def _seen(row: Any, plain: Plain) -> list[int]:
    return [plain.cells[cell] for cell in np.flatnonzero(row == 0)]


@pytest.mark.parametrize("seed", range(8))
def test_a_random_walk_sees_what_each_branch_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells, plain, token, compacted = Cells(SLOTS, CAPACITY), Plain(), 0, 0
    for _ in range(300):
        slot = int(rng.integers(SLOTS))
        text = plain.texts[slot]
        kind = rng.choice(["append", "share", "cut"], p=[0.5, 0.25, 0.25])
        if kind == "cut":
            length = int(rng.integers(len(text) + 1))
            cells.cut(slot, length)
            del text[length:]
        elif kind == "share":
            target = int(rng.integers(SLOTS))
            if target != slot and not plain.texts[target]:
                length = int(rng.integers(len(text) + 1))
                cells.share(slot, target, length)
                plain.texts[target] = text[:length]
        else:
            count = int(rng.integers(1, 6))
            if not cells.fits(count):
                assert len({t for held in plain.texts.values() for t in held}) + count > CAPACITY
                continue
            if cells.ragged(count):
                kept = cells.compact()
                plain.cells = [plain.cells[cell] for cell in kept]
                compacted += 1
            new = list(range(token, token + count))
            token += count
            start = len(text)
            rows = cells.append(_ints([slot] * count), _ints(range(start, start + count)))
            plain.cells = plain.cells[: cells.used - count] + new
            text += new
            for n, row in enumerate(rows):  # what comes later in the call is for the causal mask
                assert _seen(row[: cells.used - count + n + 1], plain) == text[: start + n + 1]
        assert cells.live == len({t for held in plain.texts.values() for t in held})
    assert compacted


def test_freed_cells_at_the_end_are_used_again() -> None:
    cells = Cells(2, 16)
    cells.append(_ints([0] * 5), _ints(range(5)))
    cells.share(0, 1, 5)
    cells.append(_ints([1] * 4), _ints(range(5, 9)))
    cells.cut(1, 6)
    assert (cells.used, cells.live) == (6, 6)
    cells.cut(0, 0)
    assert (cells.used, cells.live) == (6, 6)  # the other still sees them
    cells.cut(1, 0)
    assert (cells.used, cells.live) == (0, 0)


def test_a_window_hides_what_is_too_far_back() -> None:
    cells = Cells(1, 32, window=4)
    rows = cells.append(_ints([0] * 10), _ints(range(10)))
    assert [int((row[: n + 1] == 0).sum()) for n, row in enumerate(rows)] == [1, 2, 3] + [4] * 7
    assert np.flatnonzero(rows[9] == 0).tolist() == [6, 7, 8, 9]
