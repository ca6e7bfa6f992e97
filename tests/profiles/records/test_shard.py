"""Parts of a run's questions."""

from __future__ import annotations

import pytest

from convert.refusal import Refusal
from profiles.records.shard import Shard, read_shard

HELD = [0, 13, 20, 23]  # runs of a year ago go on with the questions they had


def test_every_question_is_in_one_shard() -> None:
    """And stays there, whatever comes after it; the parts are of about one size."""
    shards = [Shard(index, 8) for index in range(8)]
    held = [[s.index for s in shards if s.holds(str(n), f"Q{n}?")] for n in range(1319)]
    assert all(len(found) == 1 for found in held)
    sizes = [held.count([index]) for index in range(8)]
    assert 120 < min(sizes) < max(sizes) < 210
    assert all(Shard(None, 8).holds(str(n), "?") for n in range(9))
    assert [n for n in range(24) if read_shard("3/8").holds(str(n), "Q?")] == HELD


@pytest.mark.parametrize("text", ["8/8", "1/0", "-1/8", "1", "a/b", "1/", "/4", "1.0/4", "¹/4", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="is no shard; give I/K"):
        read_shard(text)
