"""What a branch holds, as a chain of links that it shares with the branches it was forked from."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.engine import Logits


class Link:
    """Tokens that follow one fixed prefix. Each has one cell, whoever holds it.

    `held` says how many of the tokens every slot of the KV cache holds. `saved` is a copy of the
    cells of the first `saved_count` tokens in main memory.
    """

    __slots__ = ("held", "owner", "saved", "saved_count", "start", "tokens")

    def __init__(self, start: int, owner: Chain) -> None:
        self.start = start  # position of its first token
        self.tokens: list[int] = []
        self.owner: Chain | None = owner  # who may append; None once it is shared
        self.held: dict[int, int] = {}
        self.saved: bytes | None = None
        self.saved_count = 0

    @property
    def cells(self) -> int:
        """Cells of the KV cache that it takes."""
        return max(self.held.values(), default=0)


class Chain:
    """A branch: links and how much of each, its slot while it is in the cache, its last logits.

    Forks share links and copy nothing, not even a slot: a branch gets one when it is first fed.
    """

    __slots__ = ("age", "length", "links", "row", "slot")

    def __init__(self, age: int) -> None:
        self.age = age  # of its tree: the older goes first
        self.links: list[tuple[Link, int]] = []
        self.length = 0
        self.slot: int | None = None
        self.row: Logits | None = None  # (V,) of the last token

    def append(self, tokens: Sequence[int]) -> None:
        link, used = self.links[-1] if self.links else (None, 0)
        if link is None or link.owner is not self:
            link, used = Link(self.length, self), 0
            self.links.append((link, 0))
        link.tokens += tokens
        self.links[-1] = link, used + len(tokens)
        self.length += len(tokens)

    def fork(self) -> Chain:
        """A chain that goes on from here; from now on both append to links of their own."""
        if self.links:
            self.links[-1][0].owner = None
        child = Chain(self.age)
        child.adopt(self, self.length)
        child.row = self.row
        return child

    def adopt(self, other: Chain, length: int) -> None:
        """Begin, while empty, with the first tokens of another chain."""
        if other.links:
            other.links[-1][0].owner = None
        self.links, self.length = list(other.links), other.length
        self.cut(length)

    def cut(self, length: int) -> None:
        """Forget what lies beyond `length` tokens, the last logits included."""
        if length == self.length:
            return
        while self.links and self.links[-1][0].start >= length:
            self.links.pop()
        if self.links:
            link, _ = self.links[-1]
            used = length - link.start
            if link.owner is self:
                del link.tokens[used:]
                if link.saved_count > used:
                    link.saved, link.saved_count = None, 0
            self.links[-1] = link, used
        self.length, self.row = length, None

    def tokens(self, begin: int) -> list[int]:
        """The tokens from position `begin` on."""
        found: list[int] = []
        for link, used in self.links:
            if link.start + used > begin:
                found += link.tokens[max(0, begin - link.start) : used]
        return found

    def beyond(self, length: int) -> set[Link]:
        """The links that hold tokens from position `length` on."""
        return {link for link, used in self.links if link.start + used > length}
