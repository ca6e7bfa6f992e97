"""Parts of a run's questions."""

from __future__ import annotations

import pytest

from convert.refusal import Refusal
from profiles.records.shard import Shard, read_shard

HELD = {"0", "10", "16"}  # a run that is resumed goes on with the questions it had


def test_every_question_is_in_one_shard_and_all_are_of_one_size() -> None:
    """However many questions a run takes of the data, and more move none."""
    questions = [(str(n), f"Q{n}?") for n in range(1319)]
    shards = [Shard(index, 8).held(questions) for index in range(8)]
    assert sorted(key for held in shards for key in held) == sorted(key for key, _ in questions)
    for limit in (5, 100, 1319):
        sizes = [sum(int(key) < limit for key in held) for held in shards]
        assert max(sizes) - min(sizes) <= 1
    assert {int(key) % 8 for key in shards[0]} == set(range(8))  # not the same place of each row
    assert Shard(None, 8).held(questions) == {key for key, _ in questions}
    assert read_shard("3/8").held(questions[:24]) == HELD


@pytest.mark.parametrize("text", ["8/8", "1/0", "-1/8", "1", "a/b", "1/", "/4", "1.0/4", "¹/4", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="is no shard; give I/K"):
        read_shard(text)
