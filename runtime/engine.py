"""What every engine is: batch-first calls over branches that share their prefix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from convert.artifact import Artifact
from convert.refusal import Refusal

if TYPE_CHECKING:
    from runtime.probe import Probe

Logits = npt.NDArray[np.float32]  # (B, V)
Hidden = npt.NDArray[np.float32]  # (B, D)
Finish = Literal["stop", "eos", "length", "loop"]
Work = Literal["prefill", "decode", "thought"]


class ContextFull(Refusal):
    """A prompt, or what one branch is to hold, is longer than the KV cache."""


class CacheFull(ContextFull):
    """All branches together need more than an engine has: under a scheduler they take turns."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One live token sequence and its KV cache. Ids start at 0 in every tree, so runs repeat."""

    id: int
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one call of `extend` added to a branch: one reasoning step, or a whole completion.

    The text ends with the stop string where `finish` is `stop`. An end-of-sequence token is in
    neither `token_ids` nor `logprobs`. Logprobs are of the tempered, untruncated distribution.
    Entropies and readings are there where the engine has a probe, a state where it was asked for.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish
    entropies: tuple[float, ...] = ()  # in nats, of the distribution each token was drawn from
    readings: tuple[Hidden, ...] = field(default=(), compare=False, repr=False)  # (K,) a token
    state: Hidden | None = field(default=None, compare=False, repr=False)  # (D,) of the last token


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. The random stream is (seed, branch id, position).

    Raises:
        Refusal: for a temperature, a share or a count that none can be.
    """

    temperature: float = 1.0  # 0 is greedy
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int = 0
    stop_loops: bool = False  # a text that repeats itself ends, as one that is too long does
    states: bool = False  # keep the last token's state after the final norm, which decoding has
    logprobs: bool = True  # False: those of greedy draws are 0, which spares a softmax of each row

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise Refusal(f"temperature {self.temperature} is not a number from 0")
        if not 0 < self.top_p <= 1:
            raise Refusal(f"top_p {self.top_p} is not above 0 and at most 1")
        if self.max_tokens < 1:
            raise Refusal(f"max_tokens {self.max_tokens} is not positive")


@dataclass(frozen=True, slots=True)
class Usage:
    """Cumulative work of an engine; subtract two readings to get the cost between them.

    A token is counted where it is evaluated: `prefill` for given text, `decode` for sampled text,
    `thought` for hidden tokens. `context_tokens` sums, over evaluated tokens, the tokens each one
    attends to, itself included. `logit_rows` counts rows of the output projection. `thoughts` and
    `skipped_thoughts` count text tokens that a thinking engine thought after and did not.
    """

    prefill_tokens: int = 0
    decode_tokens: int = 0
    thought_tokens: int = 0
    context_tokens: int = 0
    logit_rows: int = 0
    thoughts: int = 0
    skipped_thoughts: int = 0
    calls: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    thought_s: float = 0.0
    sampling_s: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    @property
    def tokens(self) -> int:
        """All evaluated tokens."""
        return self.prefill_tokens + self.decode_tokens + self.thought_tokens


@dataclass(frozen=True, slots=True)
class Output:
    """Rows of one `feed`, in the order of its branches. Views: valid until the next `feed`."""

    logits: Logits  # (B * tail, V), of each branch's last `tail` tokens
    hidden: Hidden | None = None  # (B * tail, D), after the final norm; None unless wanted
    readings: Hidden | None = None  # (B * tail, K), copied; None without a probe


class Tokenizer(Protocol):
    """Text to token ids and back."""

    eos_ids: frozenset[int]
    size: int  # of the vocabulary
    chat_template: str | None

    @property
    def bos(self) -> str:
        """The beginning-of-sequence token as templates write it, or an empty string."""
        ...

    @property
    def eos(self) -> str:
        """The end-of-sequence token, likewise."""
        ...

    @property
    def pieces(self) -> Sequence[bytes]:
        """The text of every id; control tokens are empty."""
        ...

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Ids of a text that starts a sequence, after the beginning-of-sequence token if any.

        Names of control tokens in the text are text, unless `special`. Nothing is put at the end.
        """
        ...

    def encode_chat(self, text: str) -> list[int]:
        """Ids of what a chat template rendered: control tokens are read, nothing is added."""
        ...

    def encode_more(self, text: str) -> list[int]:
        """Ids of a text that continues a sequence: nothing is added in front."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""
        ...


class Engine(Protocol):
    """A model with branches. Every call takes a list of branches; one branch is a list of one.

    After `open`, `fork`, `feed` and `extend` every branch holds the logits of its last token.
    """

    artifact: Artifact
    tokenizer: Tokenizer
    device: str  # one line for people: what runs where
    context: int  # tokens the KV cache holds, all branches together
    max_branches: int
    on_card: bool  # whether a card computes, or a part of it
    weight_bits: float  # of a weight in memory, on average
    kv_value_bytes: float  # of one number in the KV cache
    probe: Probe | None  # what is read of its states

    @property
    def usage(self) -> Usage: ...

    @property
    def kv_bytes(self) -> int:
        """Bytes that the KV cache occupies now."""
        ...

    def open(self, tokens: Sequence[int]) -> AbstractContextManager[Branch]:
        """Prefill a prompt; leaving the context frees the whole tree that grew from it.

        Raises:
            ContextFull: if the prompt is longer than the KV cache.
        """
        ...

    def fork(self, branch: Branch, n: int) -> list[Branch]:
        """`n` new branches that continue `branch` and share its KV cache."""
        ...

    def feed(
        self,
        branches: Sequence[Branch],
        tokens: Sequence[Sequence[int]],
        *,
        hidden: bool = False,
        work: Work = "prefill",
        tail: int = 1,
    ) -> Output:
        """Append tokens to branches, ragged, in one decode call or the fewest that fit.

        Every branch gets at least `tail` tokens; rows come out for its last `tail` ones.
        """
        ...

    def rewind(self, branch: Branch, length: int) -> None:
        """Drop what a branch holds beyond its first `length` tokens, its logits included."""
        ...

    def release(self, branches: Sequence[Branch]) -> None:
        """Free branches; what others share with them stays."""
        ...

    def length(self, branch: Branch) -> int:
        """Tokens that a branch holds."""
        ...

    def logits(self, branches: Sequence[Branch]) -> Logits:
        """(B, V): next-token logits of each branch."""
        ...

    def extend(self, branches: Sequence[Branch], sampling: Sampling) -> list[Step]:
        """Sample all branches together until each meets its stop, its end or its length."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
