"""A part of a run's questions, for one machine of several; their hashes tell which are in it."""

from __future__ import annotations

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

    def holds(self, problem_id: str, question: str) -> bool:
        """Whether a question is in it. A larger `--limit` moves no question to another shard."""
        import hashlib

        digest = hashlib.sha256(f"{problem_id}:{question}".encode()).digest()
        place = int.from_bytes(digest[:8], "little") % self.count
        return self.index is None or place == self.index


def read_shard(text: str) -> Shard:
    """The shard that `3/8` names.

    Raises:
        Refusal: if it names none; says the form.
    """
    index, _, count = text.partition("/")
    if not all(part.isascii() and part.isdecimal() and len(part) < 7 for part in (index, count)):
        raise Refusal(f"{text!r} is no shard; give I/K, as 3/8: I from 0 to K-1")
    return Shard(int(index), int(count))
