"""What both kinds of completion share: how they are asked for, and how they end."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from methods.build import MethodSpec
from methods.catalog import METHODS
from methods.problem import Problem
from methods.serve import replies
from methods.serve.budget import parse
from methods.serve.errors import ApiError, bad
from methods.serve.exchange import Chunk
from methods.serve.fields import CompletionBody
from methods.serve.plain import Wanted
from methods.serve.replies import Envelope
from methods.serve.way import Way
from methods.serve.work import Completed, Searching
from runtime.engine import Sampling

if TYPE_CHECKING:
    from methods.serve.desk import Desk

COLDEST = 1e-4  # a temperature below is greedy
SEEDS = 1 << 63


def wanted(
    desk: Desk, body: CompletionBody, prompt: Sequence[int], most: int | None, top: int | None
) -> Wanted:
    """A plain completion: as long as asked, as the server's default, or as the cache has room."""
    room = desk.room(prompt)
    sampling = Sampling(
        temperature=_temperature(body),
        top_p=body.top_p or 1.0,
        max_tokens=max(1, min(desk.max_tokens if most is None else most, room)),
        stop=body.stops,
        seed=_seed(body),
    )
    return Wanted(
        tuple(prompt),
        sampling,
        body.n,
        top,
        most == 0,
        body.presence_penalty,
        body.frequency_penalty,
        _bias(body, desk.policy.tokenizer.size),
    )


def search(
    desk: Desk,
    body: CompletionBody,
    choice: Way,
    question: str,
    prompt: Sequence[int],
    most: int | None,
) -> Searching:
    """A search for the answer to a question."""
    row = METHODS[choice.method]
    limit = None if body.budget is None else parse(body.budget)
    width = choice.width if limit is None else desk.within(limit, choice)
    if body.n > (width if "width" in row.search.reads else 1):
        raise bad(f"n {body.n} is more than the {width} paths of this search", "n")
    spec = MethodSpec(
        row.search.name,
        width,
        temperature=_temperature(body) or 1.0,
        top_p=body.top_p or 1.0,
        max_tokens=min(desk.max_tokens if most is None else max(1, most), desk.room(prompt)),
        balance=body.balance or 0.1,
        aggregation=body.aggregation,
        selection=row.selection,
        budget=limit,
    )
    problem = Problem("0", question, prompt=tuple(prompt))
    return Searching(choice.method, problem, spec, _seed(body), choice.think)


def sums(done: Completed, prompt_tokens: int) -> dict[str, Any]:
    """What plain completions took, under the names that go out."""
    shown = sum(len(c.tokens) for c in done.completions)
    total = max(shown, done.usage.decode_tokens) + done.usage.thought_tokens
    return {
        "usage": replies.usage(prompt_tokens, total, shown),
        "timings": replies.timings(done.usage, replies.NOTHING),
    }


def ending(
    body: CompletionBody,
    reply: Envelope,
    done: Completed,
    finishes: Iterable[str],
    prompt_tokens: int,
    first: int = 0,
) -> list[Chunk]:
    """The last chunks of a stream: what was held back, why each completion ended, the sums."""
    held = [(first + i, c.held) for i, c in enumerate(done.completions) if c.held]
    chunks: list[Chunk] = [reply.chunk(i, {"content": text}) for i, text in held]
    chunks += [reply.chunk(i, {}, finish) for i, finish in enumerate(finishes, first)]
    if body.stream_options.include_usage:
        chunks.append(reply.last(**sums(done, prompt_tokens)))
    return chunks


def check_room(desk: Desk, prompt: Sequence[int]) -> None:
    """Refuse a prompt that leaves no room for an answer.

    Raises:
        ApiError: with the two numbers, under the names that clients look for.
    """
    if not prompt:
        raise bad("the prompt is empty", "prompt")
    if desk.room(prompt) < 1:
        limit = desk.policy.context
        raise ApiError(
            400,
            f"the prompt has {len(prompt)} tokens and the context is {limit}; shorten it, or start "
            "the server with a larger --context",
            "messages",
            "context_length_exceeded",
            {"type": "exceed_context_size_error", "n_prompt_tokens": len(prompt), "n_ctx": limit},
        )


def _temperature(body: CompletionBody) -> float:
    cold = body.temperature < COLDEST or body.top_p == 0
    return 0.0 if cold else body.temperature


def _seed(body: CompletionBody) -> int:
    return secrets.randbelow(SEEDS) if body.seed is None else body.seed % SEEDS


def _bias(body: CompletionBody, vocab: int) -> dict[int, float]:
    found = {}
    for name, value in body.logit_bias.items():
        if not (name.isascii() and name.isdigit()) or int(name) >= vocab:
            raise bad(f"logit_bias: {name!r} is no token of a vocabulary of {vocab}", "logit_bias")
        found[int(name)] = value
    return found
