"""The real clients: OpenAI's SDK, LiteLLM, LangChain, each with what its users do most."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.methods.serve.test_chats import QUESTION

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
MODEL = "policy-q4_k_m"

pytestmark = pytest.mark.filterwarnings("ignore")  # of the clients themselves


@pytest.fixture(scope="module", autouse=True)
def event_loop() -> Iterator[None]:
    """LiteLLM takes the thread's event loop, or makes one, and never closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(scope="module")
def openai_client(server: Any) -> Any:
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_openai_chat(openai_client: Any) -> None:
    reply = openai_client.chat.completions.create(
        model=f"{MODEL}:rebase-8", messages=MESSAGES, extra_body={"width": 4}, seed=0
    )
    assert "28" in reply.choices[0].message.content
    assert reply.usage.completion_tokens_details.reasoning_tokens > 0
    assert reply.model_extra["timings"]["reward_n"] > 0


def test_openai_stream(openai_client: Any) -> None:
    stream = openai_client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "28" in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-1].usage.total_tokens > 0
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_openai_completions_with_echo(openai_client: Any) -> None:
    reply = openai_client.completions.create(
        model=MODEL, prompt=f"Q: {QUESTION}\nA:", max_tokens=4, echo=True, logprobs=1
    )
    logprobs = reply.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset)


def test_openai_errors(openai_client: Any) -> None:
    import openai

    with pytest.raises(openai.NotFoundError) as unknown:
        openai_client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        openai_client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "word " * 9000}]
        )
    assert long.value.code == "context_length_exceeded"


def test_openai_models(openai_client: Any) -> None:
    assert MODEL in [model.id for model in openai_client.models.list()]
    assert openai_client.models.retrieve(MODEL).id == MODEL


def test_openai_leaves_a_stream(openai_client: Any, server: Any) -> None:
    stream = openai_client.chat.completions.create(
        model=MODEL, messages=MESSAGES, temperature=2, max_tokens=2000, stream=True, n=8
    )
    next(iter(stream))
    stream.close()
    server.until(lambda: server.metric("requests_processing") == 0)


def test_litellm(server: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        litellm = pytest.importorskip("litellm")
    asked: dict[str, Any] = {
        "model": f"openai/{MODEL}",
        "messages": MESSAGES,
        "api_base": f"{server.url}/v1",
        "api_key": "none",
        "temperature": 0,
    }
    assert "28" in litellm.completion(**asked).choices[0].message.content
    parts = list(litellm.completion(**asked, stream=True, stream_options={"include_usage": True}))
    assert "28" in "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    search = litellm.completion(
        **asked, stream=True, extra_body={"method": "rebase", "width": 4, "seed": 0}
    )
    assert any(getattr(part.choices[0].delta, "reasoning_content", None) for part in search)


def test_langchain(server: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        langchain = pytest.importorskip("langchain_openai")
    chat = langchain.ChatOpenAI(
        model=MODEL, base_url=f"{server.url}/v1", api_key="none", temperature=0, max_tokens=200
    )
    assert "28" in chat.invoke(QUESTION).content
    assert "28" in "".join(chunk.content for chunk in chat.stream(QUESTION))
    searched = chat.bind(extra_body={"method": "majority", "width": 4}).invoke(QUESTION)
    assert searched.usage_metadata["output_token_details"]["reasoning"] > 0
