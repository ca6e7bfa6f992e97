"""What goes out: OpenAI's objects, with llama-server's timings and the search beside them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from methods import show
from methods.candidate import Answer, Candidate
from methods.serve.plain import Completion, Ranked, Token
from runtime.engine import Finish, Usage

NOTHING = Usage()
REASONS: dict[Finish, str] = {"stop": "stop", "eos": "stop", "length": "length"}


@dataclass(frozen=True, slots=True)
class Told:
    """A stage of a search: a line for people, and the same for programs."""

    line: str
    stage: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Envelope:
    """The identity that all parts of one answer share."""

    model: str
    chat: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        """An answer in one piece."""
        return {**self._head("chat.completion"), "choices": list(choices), **more}

    def chunk(
        self,
        index: int,
        delta: Mapping[str, Any],
        finish: str | None = None,
        logprobs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """A part of a streamed answer; `delta` is a message's, or the text of a completion."""
        inner = {"delta": dict(delta)} if self.chat else {"text": delta.get("content", "")}
        choice = {"index": index, **inner, "logprobs": logprobs, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice], "usage": None, **more}

    def last(self, usage: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """The chunk that tells the usage: no choice, and the id and model of all others."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": dict(usage), **more}

    def choice(
        self, index: int, text: str, finish: str, logprobs: Mapping[str, Any] | None, **more: Any
    ) -> dict[str, Any]:
        """One completion of an answer in one piece."""
        if not self.chat:
            return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}
        message = {"role": "assistant", "content": text, "refusal": None, **more}
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish}

    def _head(self, kind: str) -> dict[str, Any]:
        name, prefix = (kind, "chatcmpl") if self.chat else ("text_completion", "cmpl")
        return {
            "id": f"{prefix}-{self.id}",
            "object": name,
            "created": self.created,
            "model": self.model,
        }


def usage(prompt: int, all_tokens: int, shown: int, cached: int = 0) -> dict[str, Any]:
    """Counts as OpenAI has them: all sampled tokens, and which of them are not in the answer."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": all_tokens,
        "total_tokens": prompt + all_tokens,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": max(0, all_tokens - shown)},
    }


def timings(policy: Usage, reward: Usage, cached: int = 0, **more: Any) -> dict[str, Any]:
    """llama-server's names; the reward model's work beside them."""
    predicted = policy.decode_tokens + policy.thought_tokens
    return {
        "cache_n": cached,
        **_speed("prompt", policy.prefill_tokens, policy.prefill_s),
        **_speed("predicted", predicted, policy.decode_s + policy.thought_s),
        "thought_n": policy.thought_tokens,
        "reward_n": reward.tokens,
        "reward_ms": 1000 * (reward.prefill_s + reward.decode_s),
        **more,
    }


def _speed(name: str, count: int, seconds: float) -> dict[str, float]:
    return {
        f"{name}_n": count,
        f"{name}_ms": 1000 * seconds,
        f"{name}_per_token_ms": 1000 * seconds / count if count else 0.0,
        f"{name}_per_second": count / seconds if seconds else 0.0,
    }


def finish_of(completion: Completion | Candidate) -> str:
    """Why a text ended."""
    if isinstance(completion, Candidate):
        return "stop" if completion.finished else "length"
    return REASONS[completion.finish or "length"]


def chat_logprobs(tokens: Sequence[Token], pieces: Sequence[bytes]) -> dict[str, Any]:
    """The log-probabilities of a chat completion."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        raw = pieces[token]
        return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}

    return {
        "content": [
            {**entry(t.id, t.logprob), "top_logprobs": [entry(*pair) for pair in t.top]}
            for t in tokens
        ]
    }


def text_logprobs(
    tokens: Sequence[tuple[int, float | None, Ranked]], pieces: Sequence[bytes], start: int = 0
) -> dict[str, Any]:
    """The log-probabilities of a text completion, from character `start` of the text on."""
    texts = [pieces[token].decode("utf-8", "replace") for token, _, _ in tokens]
    offsets = [start]
    for text in texts[:-1]:
        offsets.append(offsets[-1] + len(text))
    return {
        "tokens": texts,
        "token_logprobs": [logprob for _, logprob, _ in tokens],
        "top_logprobs": [
            {pieces[i].decode("utf-8", "replace"): value for i, value in top} or None
            for _, _, top in tokens
        ],
        "text_offset": offsets[: len(texts)],
    }


def best_candidates(answer: Answer, n: int) -> list[Candidate]:
    """The chosen path, and the next best ones that were asked for."""
    chosen = show.best_path(answer)
    rest = [c for c in answer.candidates if c is not chosen]
    rest.sort(key=lambda c: show.path_score(c, answer.aggregation), reverse=True)
    return ([chosen] if chosen else []) + rest[: n - (chosen is not None)]


def search(answer: Answer) -> dict[str, Any]:
    """A search for programs: candidates, votes and scores."""
    chosen = show.best_path(answer)
    document = show.document(answer)
    return {
        "answer": answer.text,
        "selection": answer.selection,
        "chosen": chosen.branch.id if chosen else None,
        "votes": show.votes(answer),
        "candidates": document["candidates"],
        "dropped": answer.dropped,
        "budget": document["budget"],
    }
