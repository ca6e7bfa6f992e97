"""An engine that replays a script: methods are tested against it, without a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from convert.artifact import Artifact, Shape
from runtime.branching import BranchEngine
from runtime.engine import CacheFull, Output
from runtime.valid_text import utf8

END = 256  # the end-of-sequence id; ids below are bytes
SHAPE = Shape(
    layers=1,
    hidden=1,
    heads=1,
    kv_heads=1,
    head_dim=1,
    feed_forward=1,
    vocab=END + 1,
    context=65536,
)


class ByteTokenizer:
    """One token a byte."""

    eos_ids = frozenset((END,))
    size = END + 1
    bos = eos = ""
    chat_template: str | None = None
    pieces: Sequence[bytes] = (*(bytes([i]) for i in range(END)), b"")

    def encode(self, text: str, *, special: bool = False) -> list[int]:  # noqa: ARG002
        return list(utf8(text))

    def encode_chat(self, text: str) -> list[int]:
        return list(utf8(text))

    def encode_more(self, text: str) -> list[int]:
        return list(utf8(text))

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", "replace")


class ScriptedEngine(BranchEngine):
    """Continues a text as a table says: `{"Q: ": {"Step 1. ": 3, "No. ": 1}}` are weights.

    The longest key that the text ends with, or ends with followed by the beginning of one of its
    continuations, decides. A text that no key matches ends.
    """

    def __init__(
        self,
        script: Mapping[str, Mapping[str, float]],
        *,
        context: int = 65536,
        max_branches: int = 256,
    ) -> None:
        super().__init__(max_branches)
        self.artifact = Artifact(
            Path("script"), "torch", "f32", "policy", "script", SHAPE, 0, 32.0, "script"
        )
        self.tokenizer = ByteTokenizer()
        self.device, self.context = "script", context
        self.on_card, self.weight_bits, self.kv_value_bytes = False, 32.0, 2.0
        self._script = script
        self._texts: dict[int, bytes] = {}
        self.batches: list[int] = []  # branches in every call, for tests

    @property
    def kv_bytes(self) -> int:
        return 0

    def evaluate(
        self,
        slots: Sequence[int],
        starts: Sequence[int],
        tokens: Sequence[Sequence[int]],
        *,
        hidden: bool,
        tails: Sequence[int],
    ) -> tuple[Output, int]:
        if self._cells() + sum(map(len, tokens)) > self.context:
            raise CacheFull(f"the script's cache of {self.context} tokens is full")
        self.batches.append(len(slots))
        logits = np.full((sum(tails), END + 1), -math.inf, np.float32)
        row = 0
        for slot, start, added, tail in zip(slots, starts, tokens, tails, strict=True):
            text = self._texts.get(slot, b"")[:start] + bytes(added)
            self._texts[slot] = text
            for end in range(len(text) - tail + 1, len(text) + 1):
                for token, weight in self._next(text[:end]).items():
                    logits[row, token] = math.log(weight)
                row += 1
        states = np.ones((len(logits), 1), np.float32) if hidden else None
        return Output(logits, states), len(logits)

    def _cells(self) -> int:
        """Tokens that the branches hold; one that they share counts once."""
        texts = sorted(self._texts.values())
        return sum(map(len, texts)) - sum(map(_common, texts, texts[1:]))

    def _next(self, text: bytes) -> dict[int, float]:
        """Weights of the next byte."""
        best: tuple[int, dict[int, float]] = (-1, {END: 1.0})
        for key, continuations in self._script.items():
            tail = key.encode()
            for written in range(len(text) - len(tail) + 1):
                if not text[: len(text) - written].endswith(tail):
                    continue
                weights = _continue(text[len(text) - written :], continuations)
                if weights and len(text) - written > best[0]:
                    best = (len(text) - written, weights)
        return best[1]

    def share(self, source: int, target: int, length: int) -> None:
        self._texts[target] = self._texts[source][:length]

    def cut(self, slot: int, length: int) -> None:
        if length:
            self._texts[slot] = self._texts[slot][:length]
        else:
            self._texts.pop(slot, None)

    def close(self) -> None:
        self._texts.clear()


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with alike."""
    ends = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(ends, min(len(one), len(other)))


def _continue(written: bytes, continuations: Mapping[str, float]) -> dict[int, float]:
    """Weights of the byte after `written`, over the continuations that begin with it."""
    weights: dict[int, float] = {}
    for text, weight in continuations.items():
        whole = text.encode()
        if len(whole) > len(written) and whole.startswith(written):
            token = whole[len(written)]
            weights[token] = weights.get(token, 0.0) + weight
    return weights
