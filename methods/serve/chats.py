"""/v1/chat/completions: a conversation in, a message out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from methods.candidate import Answer
from methods.serve import generation, replies
from methods.serve.errors import bad
from methods.serve.exchange import Chunk, Exchange
from methods.serve.fields import ChatBody
from methods.serve.messages import question, turns
from methods.serve.plain import Token
from methods.serve.replies import Envelope, Told
from methods.serve.way import choose
from methods.serve.work import Completed, Plain
from runtime.prompt import conversation_tokens

if TYPE_CHECKING:
    from methods.serve.desk import Desk


async def read(desk: Desk, body: ChatBody, method: str | None) -> Exchange[Any]:
    """A request on its way.

    Raises:
        ApiError: for what this server cannot do, or a prompt that does not fit.
    """
    choice = choose(body, method, body.effort, desk.served, desk.default)
    _supported(body)
    conversation = turns(body.messages)
    prompt = await asyncio.to_thread(
        conversation_tokens,
        desk.policy,
        conversation,
        instruct=not choice.plain,
        variables=body.chat_template_kwargs,
    )
    generation.check_room(desk, prompt)
    most = body.max_completion_tokens or body.max_tokens
    reply = Envelope(body.model or desk.served.name, chat=True)
    if choice.plain:
        top = body.top_logprobs if body.logprobs else None
        wanted = generation.wanted(desk, body, prompt, most, top)
        work = Plain(wanted, body.stream, think=choice.think)
        return _plain(desk, body, reply, work)
    asked = question(conversation)
    found = generation.search(desk, body, choice, asked, prompt, most)
    return searched(desk, body, reply, found, len(prompt))


def searched(
    desk: Desk, body: Any, reply: Envelope, work: Any, prompt_tokens: int
) -> Exchange[Answer]:
    """A search: a line for every stage, then the answer in one chunk."""

    def parts(answer: Answer) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        best = replies.best_candidates(answer, body.n)
        total = answer.usage.decode_tokens + answer.usage.thought_tokens
        usage = replies.usage(prompt_tokens, total, sum(c.tokens for c in best))
        timings = replies.timings(
            answer.usage, answer.scorer_usage, stages=len(answer.stages), flops=desk.flops(answer)
        )
        return usage, timings, replies.search(answer) if body.search else {}

    def write(answer: Answer) -> Chunk:
        usage, timings, search = parts(answer)
        choices = [
            reply.choice(i, c.text, replies.finish_of(c), None)
            for i, c in enumerate(replies.best_candidates(answer, body.n))
        ]
        return reply.whole(choices, usage=usage, timings=timings, **_named("search", search))

    def tell(told: Told) -> list[Chunk]:
        line = f"{told.line}\n"
        delta = {"reasoning_content": line, "reasoning": line} if reply.chat else {}
        if not body.search:
            return [reply.chunk(0, delta)] if delta else []
        return [reply.chunk(0, delta, search={"stage": told.stage})]

    def end(answer: Answer) -> list[Chunk]:
        usage, timings, search = parts(answer)
        best = list(enumerate(replies.best_candidates(answer, body.n)))
        chunks: list[Chunk] = [reply.chunk(i, {"content": c.text}) for i, c in best]
        chunks += [reply.chunk(i, {}, replies.finish_of(c)) for i, c in best]
        if search:
            chunks[-1] = {**chunks[-1], "search": search}
        if body.stream_options.include_usage:
            chunks.append(reply.last(usage, timings=timings))
        return chunks

    return Exchange(desk.submit(work), write, lambda: _begin(reply, body), tell, end)


def _plain(desk: Desk, body: ChatBody, reply: Envelope, work: Plain) -> Exchange[Completed]:
    pieces = desk.policy.tokenizer.pieces
    prompt = len(work.wanted.prompt)

    def told(tokens: list[Token]) -> dict[str, Any] | None:
        return replies.chat_logprobs(tokens, pieces) if body.logprobs else None

    def write(done: Completed) -> Chunk:
        choices = [
            reply.choice(i, c.text, replies.finish_of(c), told(c.tokens))
            for i, c in enumerate(done.completions)
        ]
        return reply.whole(choices, **generation.sums(done, prompt))

    def tell(token: Token) -> list[Chunk]:
        if not token.text and not body.logprobs:
            return []
        return [reply.chunk(token.index, {"content": token.text}, logprobs=told([token]))]

    def end(done: Completed) -> list[Chunk]:
        finishes = map(replies.finish_of, done.completions)
        return generation.ending(body, reply, done, finishes, prompt)

    return Exchange(desk.submit(work), write, lambda: _begin(reply, body), tell, end)


def _begin(reply: Envelope, body: Any) -> list[Chunk]:
    """The first chunks of a stream say who speaks."""
    if not reply.chat:
        return []
    return [reply.chunk(i, {"role": "assistant", "content": ""}) for i in range(body.n)]


def _supported(body: ChatBody) -> None:
    if (body.tools or body.functions) and body.tool_choice != "none":
        raise bad("tools are not supported; leave them out", "tools")
    if body.response_format.type != "text":
        raise bad(
            f"response_format {body.response_format.type!r} is not supported; choose text",
            "response_format",
        )


def _named(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {name: value} if value else {}
