"""What a job waits for: tokens read, or branches extended; each as rows of the next call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from runtime.chains import Chain
from runtime.engine import Hidden, Logits, Output, Sampling, Usage, Work
from runtime.extend import Draft, Ends
from runtime.output_rows import joined


@dataclass(slots=True)
class Books:
    """The usage of one view, in the making."""

    tokens: dict[Work, int] = field(
        default_factory=lambda: {"prefill": 0, "decode": 0, "thought": 0}
    )
    seconds: dict[Work, float] = field(
        default_factory=lambda: {"prefill": 0.0, "decode": 0.0, "thought": 0.0}
    )
    context: int = 0
    rows: int = 0
    calls: int = 0
    sampling_s: float = 0.0

    @property
    def usage(self) -> Usage:
        return Usage(
            prefill_tokens=self.tokens["prefill"],
            decode_tokens=self.tokens["decode"],
            thought_tokens=self.tokens["thought"],
            prefill_s=self.seconds["prefill"],
            decode_s=self.seconds["decode"],
            thought_s=self.seconds["thought"],
            context_tokens=self.context,
            logit_rows=self.rows,
            calls=self.calls,
            sampling_s=self.sampling_s,
        )


@dataclass(slots=True)
class Feed:
    """Tokens to append to branches; done when all were read, in however many calls.

    With `chunked` the tokens of the one branch come in parts: a prompt.
    """

    books: Books
    chains: Sequence[Chain]
    tokens: list[Sequence[int]]
    hidden: bool = False
    work: Work = "prefill"
    tail: int = 1
    chunked: bool = False
    error: BaseException | None = None
    read: dict[int, Output] = field(default_factory=dict)  # by place in `chains`

    @property
    def done(self) -> bool:
        return len(self.read) == len(self.chains)

    @property
    def waiting(self) -> int:
        """Branches that it has not read to the end."""
        return len(self.chains) - len(self.read)

    def output(self) -> Output:
        """Rows of all branches, in order."""
        return joined([self.read[n] for n in range(len(self.chains))])


@dataclass(slots=True)
class Growth:
    """A branch that is being extended."""

    chain: Chain
    branch_id: int
    draft: Draft
    sampling: Sampling
    books: Books
    token: int | None = None  # drawn, not yet read

    @property
    def fresh(self) -> bool:
        return self.draft.finish is None and self.token is None

    @property
    def done(self) -> bool:
        return self.draft.finish is not None and self.token is None

    def take(self, token: int, logprob: float, entropy: float | None = None) -> None:
        self.draft.take(token, logprob, entropy)
        self.token = None if self.draft.finish == "eos" else token


@dataclass(slots=True)
class Extend:
    """Branches to extend together, each until its own stop."""

    books: Books
    growths: list[Growth]
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return all(growth.done for growth in self.growths)

    @property
    def waiting(self) -> int:
        """Branches that still grow."""
        return sum(not growth.done for growth in self.growths)


def extension(
    books: Books, chains: Sequence[Chain], ids: Sequence[int], ends: Ends, sampling: Sampling
) -> Extend:
    """A request to extend branches, of these ids in their tree."""
    pairs = zip(chains, ids, strict=True)
    return Extend(books, [Growth(c, i, Draft(ends), sampling, books) for c, i in pairs])


@dataclass(slots=True)
class Part:
    """A part of a request in one call: tokens for one branch."""

    request: Feed | Extend
    chain: Chain
    tokens: Sequence[int]
    tail: int
    work: Work
    hidden: bool = False
    place: int = 0  # of the branch in a Feed
    growth: Growth | None = None

    def take(self, logits: Logits, hidden: Hidden | None, readings: Hidden | None) -> None:
        """The rows that a Feed asked for; copies, for the next call overwrites them."""
        assert isinstance(self.request, Feed)
        if not self.tail:
            self.request.tokens[self.place] = self.request.tokens[self.place][len(self.tokens) :]
            return
        output = Output(logits.copy(), None if hidden is None else hidden.copy(), readings)
        self.request.read[self.place] = output
        self.chain.row = output.logits[-1]


def rows(request: Feed | Extend, budget: int) -> Iterator[Part]:
    """What a request wants of the next call; of a prompt at most `budget` tokens."""
    if isinstance(request, Extend):
        for growth in request.growths:
            if growth.token is not None:
                token, states = [growth.token], growth.sampling.states
                yield Part(request, growth.chain, token, 1, "decode", states, growth=growth)
        return
    for place, (chain, tokens) in enumerate(zip(request.chains, request.tokens, strict=True)):
        if place in request.read:
            continue
        part, tail = tokens, request.tail
        if request.chunked and len(tokens) > budget:
            part, tail = tokens[:budget], 0
        if part:
            yield Part(request, chain, part, tail, request.work, request.hidden, place)
