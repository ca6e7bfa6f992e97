"""Shared beginnings of prompts: read once, kept for the prompts to come."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.chains import Chain

LEAST = 16  # tokens that are worth sharing
MOST = 4  # trunks kept at a time
TRUNK_AGE = -1  # older than any tree: the last to leave the cache


class Prompts:
    """Prompts that are open, and trunks: beginnings that at least two of them shared."""

    def __init__(self) -> None:
        self.trunks: list[Chain] = []
        self.shared_tokens = 0  # that did not have to be read again, so far
        self._open: dict[Chain, Sequence[int]] = {}
        self._read: set[Chain] = set()  # of them, to the end

    def add(self, chain: Chain, tokens: Sequence[int]) -> None:
        """A prompt that is about to be read."""
        self._open[chain] = tokens

    def read(self, chain: Chain) -> None:
        """A prompt was read to its end."""
        self._read.add(chain)

    def drop(self, chain: Chain) -> None:
        self._open.pop(chain, None)
        self._read.discard(chain)

    def begin(self, chain: Chain) -> bool:
        """Begin a prompt with the longest beginning that it shares with another.

        False while the other is still being read: then it has to wait.
        """
        tokens = self._open[chain]
        length, source = 0, chain
        for trunk in self.trunks:
            n = _common(trunk.tokens(0), tokens)
            length, source = max((length, source), (n, trunk), key=lambda pair: pair[0])
        known = length
        for other, theirs in self._open.items():
            if other is chain:
                break  # the later ones wait for this one
            n = _common(theirs[: other.length] if other in self._read else theirs, tokens)
            if n >= max(LEAST, 2 * known, length + 1):
                length, source = n, other
        if length < LEAST:
            return True
        if source.length < length:
            return False
        if source.tokens(0)[:length] != list(tokens[:length]):  # it was rewound since
            return True
        chain.adopt(source, length)
        self.shared_tokens += length
        if source not in self.trunks:
            trunk = Chain(TRUNK_AGE)
            trunk.adopt(source, length)
            self.trunks.append(trunk)
        return True


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How long two prompts are the same; the last token of `other` is always left to read."""
    end = min(len(one), len(other) - 1)
    for n in range(end):
        if one[n] != other[n]:
            return n
    return max(0, end)
