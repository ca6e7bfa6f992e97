"""Rows of several outputs as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.engine import Hidden, Output
from runtime.ragged import Ints


def gather(blocks: Sequence[Output], last: Ints) -> Output:
    """The rows asked for; where hidden states were wanted, every token has one."""
    whole = blocks[0] if len(blocks) == 1 else joined(blocks)
    if len(whole.logits) == len(last):
        return whole
    return Output(whole.logits[last], _at(whole.hidden, last), _at(whole.readings, last))


def joined(blocks: Sequence[Output]) -> Output:
    """The rows of all, in order, copied."""
    states = [block.hidden for block in blocks if block.hidden is not None]
    readings = [block.readings for block in blocks if block.readings is not None]
    return Output(
        np.concatenate([block.logits for block in blocks]),
        np.concatenate(states) if states else None,
        np.concatenate(readings) if readings else None,
    )


def _at(rows: Hidden | None, places: Ints) -> Hidden | None:
    return None if rows is None else rows[places]
