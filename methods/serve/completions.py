"""/v1/completions: prompts in, texts out, with `echo` and log-probabilities of what was given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from methods.likelihood import Likelihood
from methods.serve import chats, generation, replies
from methods.serve.errors import bad
from methods.serve.exchange import Chunk, Exchange, Together
from methods.serve.fields import TextBody
from methods.serve.plain import Token
from methods.serve.replies import Envelope
from methods.serve.way import choose
from methods.serve.work import Completed, Plain
from runtime.options import Thinking

if TYPE_CHECKING:
    from methods.serve.desk import Desk

MOST_PROMPTS = 256
DEFAULT_TOKENS = 16  # OpenAI's


async def read(desk: Desk, body: TextBody, method: str | None) -> Exchange[Any] | Together:
    """A request on its way; several prompts are worked on together.

    Raises:
        ApiError: for what this server cannot do, or a prompt that does not fit.
    """
    choice = choose(body, method, None, desk.served, desk.default)
    if body.suffix:
        raise bad("suffix is not supported; leave it out", "suffix")
    if body.best_of is not None and body.best_of != body.n:
        raise bad("best_of other than n is not supported; choose method best-of-n", "best_of")
    prompts = await asyncio.to_thread(_prompts, desk, body)
    for prompt, _ in prompts:
        generation.check_room(desk, prompt)
    reply = Envelope(body.model or desk.served.name, chat=False)
    if choice.plain:
        parts: list[Exchange[Any]] = [
            _plain(desk, body, reply, prompt, text, n * body.n, choice.think)
            for n, (prompt, text) in enumerate(prompts)
        ]
    else:
        if len(prompts) > 1:
            raise bad(f"{choice.method} takes one prompt a request, not {len(prompts)}", "prompt")
        ((prompt, text),) = prompts
        found = generation.search(desk, body, choice, text, prompt, body.max_tokens)
        return chats.searched(desk, body, reply, found, len(prompt))
    return parts[0] if len(parts) == 1 else Together(parts)


def _prompts(desk: Desk, body: TextBody) -> list[tuple[list[int], str]]:
    """Ids and text of every prompt."""
    given: Sequence[Any] = body.prompt if isinstance(body.prompt, list) else [body.prompt]
    if given and isinstance(given[0], int):
        given = [given]
    if not 0 < len(given) <= MOST_PROMPTS:
        raise bad(f"prompt holds {len(given)} prompts; choose 1 to {MOST_PROMPTS}", "prompt")
    tokenizer = desk.policy.tokenizer
    found = []
    for prompt in given:
        if isinstance(prompt, str):
            found.append((tokenizer.encode(prompt, special=True), prompt))
            continue
        if any(token >= tokenizer.size for token in prompt):
            raise bad(f"a token is not in the vocabulary of {tokenizer.size}", "prompt")
        found.append((prompt, tokenizer.decode(prompt)))
    return found


def _plain(
    desk: Desk,
    body: TextBody,
    reply: Envelope,
    prompt: list[int],
    text: str,
    first: int,
    think: Thinking,
) -> Exchange[Completed]:
    pieces = desk.policy.tokenizer.pieces
    most = DEFAULT_TOKENS if body.max_tokens is None else body.max_tokens
    wanted = generation.wanted(desk, body, prompt, most, body.top_logprobs)
    listed = body.top_logprobs is not None
    echo = body.echo and listed

    def given(read: Sequence[Likelihood]) -> list[Any]:
        """The prompt's tokens with what the model thought of them; nothing precedes the first."""
        if not echo:
            return []
        return [(prompt[0], None, ()), *((t.token, t.logprob, t.top) for t in read)]

    def logprobs(done: Completed, tokens: Sequence[Token]) -> dict[str, Any] | None:
        if not listed:
            return None
        drawn = [(t.id, t.logprob, t.top) for t in tokens]
        start = 0 if body.echo else len(text)
        return replies.text_logprobs([*given(done.prompt), *drawn], pieces, start)

    def shown(done: Completed) -> list[tuple[str, str, Sequence[Token]]]:
        front = text if body.echo else ""
        if not done.completions:  # nothing but the prompt was wanted
            return [(front, "length", ())] * body.n
        return [(front + c.text, replies.finish_of(c), c.tokens) for c in done.completions]

    def write(done: Completed) -> Chunk:
        choices = [
            reply.choice(first + i, said, finish, logprobs(done, tokens))
            for i, (said, finish, tokens) in enumerate(shown(done))
        ]
        return reply.whole(choices, **generation.sums(done, len(prompt)))

    ends = [len(text)] * body.n  # of what was told so far, in characters

    def begin() -> list[Chunk]:
        if not body.echo or echo:
            return []
        return [reply.chunk(first + i, {"content": text}) for i in range(body.n)]

    def tell(news: Token | Sequence[Likelihood]) -> list[Chunk]:
        if not isinstance(news, Token):
            told = replies.text_logprobs(given(news), pieces)
            ends[:] = [len("".join(told["tokens"]))] * body.n
            return [reply.chunk(first + i, {"content": text}, logprobs=told) for i in range(body.n)]
        if not listed:
            return [reply.chunk(first + news.index, {"content": news.text})] if news.text else []
        drawn = [(news.id, news.logprob, news.top)]
        told = replies.text_logprobs(drawn, pieces, ends[news.index])
        ends[news.index] += len(told["tokens"][0])
        return [reply.chunk(first + news.index, {"content": news.text}, logprobs=told)]

    def end(done: Completed) -> list[Chunk]:
        finishes = [finish for _, finish, _ in shown(done)]
        return generation.ending(body, reply, done, finishes, len(prompt), first)

    work = Plain(wanted, body.stream, echo, think)
    return Exchange(desk.submit(work, more=first > 0), write, begin, tell, end)
