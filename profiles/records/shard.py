"""A part of a run's questions, for one machine of several, as large as every other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convert.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts, counted from 0; without an index all of them, put together again."""

    index: int | None
    count: int

    def __post_init__(self) -> None:
        if self.count < 1 or not (self.index is None or 0 <= self.index < self.count):
            raise Refusal(f"{self} is no shard; give I/K with K at least 1 and I from 0 to K-1")

    def __str__(self) -> str:
        return f"{'all' if self.index is None else self.index}/{self.count}"

    @property
    def folder(self) -> str:
        """The name of its folder beside those of the other shards."""
        return f"shard-{self.index}-of-{self.count}"

    def held(self, questions: Sequence[tuple[str, str]]) -> set[str]:
        """The ids that it holds of all questions of the data, ids and texts in their order.

        Of every `count` questions in a row each shard holds one; their hashes tell which. So all
        shards are of one size, however many questions a run takes, and more move none.
        """
        if self.index is None:
            return {key for key, _ in questions}
        found = set()
        for begin in range(0, len(questions), self.count):
            row = sorted(questions[begin : begin + self.count], key=_hash)
            found |= {key for key, _ in row[self.index : self.index + 1]}
        return found


def _hash(question: tuple[str, str]) -> bytes:
    import hashlib

    return hashlib.sha256(":".join(question).encode()).digest()


def read_shard(text: str) -> Shard:
    """The shard that `3/8` names.

    Raises:
        Refusal: if it names none; says the form.
    """
    index, _, count = text.partition("/")
    if not all(part.isascii() and part.isdecimal() and len(part) < 7 for part in (index, count)):
        raise Refusal(f"{text!r} is no shard; give I/K, as 3/8: I from 0 to K-1")
    return Shard(int(index), int(count))
