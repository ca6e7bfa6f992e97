"""Chat completions over a real socket: every field that clients send, every form of an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": QUESTION}], "seed": 0}
NULLS = dict.fromkeys(
    [
        "model",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "n",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "stream",
        "stream_options",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "reasoning",
        "chat_template_kwargs",
        "response_format",
        "tools",
        "functions",
        "tool_choice",
        "method",
        "width",
        "think",
        "budget",
        "balance",
        "aggregation",
        "search",
        "user",
        "metadata",
        "store",
        "service_tier",
        "parallel_tool_calls",
        "verbosity",
    ]
)


def ask(server: Any, path: str = "/v1/chat/completions", **fields: Any) -> Any:
    return server.client.post(path, json={**ASK, **fields})


def chunks(server: Any, **fields: Any) -> list[Any]:
    with server.client.stream(
        "POST", "/v1/chat/completions", json={**ASK, "stream": True, **fields}
    ) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = list(reply.iter_lines())
    found = [line[6:] for line in lines if line.startswith("data: ")]
    assert found.pop() == "[DONE]"
    return [json.loads(chunk) for chunk in found]


def test_an_answer_has_every_key_that_clients_read(server: Any) -> None:
    reply = ask(server, temperature=0).json()
    assert reply["object"] == "chat.completion"
    assert reply["id"].startswith("chatcmpl-")
    (choice,) = reply["choices"]
    message = choice["message"]
    assert (message["role"], message["refusal"]) == ("assistant", None)
    assert "answer" in message["content"]
    assert choice["finish_reason"] == "stop"
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 0}
    assert reply["timings"]["predicted_n"] == usage["completion_tokens"]


def test_null_is_the_same_as_absent_for_every_field(server: Any) -> None:
    plain = ask(server).json()["choices"]
    assert ask(server, **NULLS).json()["choices"] == plain


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "developer", "content": "Be exact."}, *ASK["messages"]],
        [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        [*ASK["messages"], {"role": "assistant", "content": None}],
        [*ASK["messages"], {"role": "assistant", "content": ""}],
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            *ASK["messages"],
        ],
        [{"role": "user", "content": QUESTION, "name": "mia"}],
    ],
)
def test_messages_as_clients_write_them(server: Any, messages: list[Any]) -> None:
    reply = ask(server, messages=messages, temperature=0, max_tokens=8)
    assert reply.status_code == 200, reply.text


def test_streamed_text_is_the_text(server: Any) -> None:
    whole = ask(server, temperature=1).json()
    parts = chunks(server, temperature=1, stream_options={"include_usage": True})
    assert {part["id"] for part in parts} == {parts[0]["id"]}
    assert {part["model"] for part in parts} == {whole["model"]}
    assert parts[0]["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(c["delta"].get("content", "") for p in parts for c in p["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    *_, last, usage = parts
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert len(parts) > 10  # token by token


def test_a_search_streams_its_stages(server: Any) -> None:
    parts = chunks(server, method="rebase", width=4, search=True)
    lines = [
        c["delta"]["reasoning_content"]
        for p in parts
        for c in p["choices"]
        if "reasoning_content" in c["delta"]
    ]
    assert len(lines) > 1
    assert lines == [
        c["delta"]["reasoning"] for p in parts for c in p["choices"] if "reasoning" in c["delta"]
    ]
    stages = [part["search"]["stage"] for part in parts if "stage" in part.get("search", {})]
    assert [stage["depth"] for stage in stages] == list(range(1, len(lines) + 1))
    found = parts[-1]["search"]
    assert found["answer"] == "28"
    assert sum(vote["paths"] for vote in found["votes"]) == len(found["candidates"])


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/majority/chat/completions", {"width": 6}),
        ("/v1/chat/completions", {"method": "majority", "width": 6}),
        ("/v1/chat/completions", {"model": "policy-q4_k_m:majority-6"}),
        ("/majority/chat/completions/", {"model": "policy-q4_k_m:rebase-8", "width": 6}),
    ],
)
def test_a_method_by_any_way(server: Any, path: str, fields: dict[str, Any]) -> None:
    usual = ask(server, method="majority", width=6).json()
    reply = ask(server, path, **fields).json()
    assert reply["choices"] == usual["choices"]
    assert reply["usage"] == usual["usage"]
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_n_completions_and_n_of_a_search(server: Any) -> None:
    three = ask(server, n=3, temperature=1.5).json()["choices"]
    assert [choice["index"] for choice in three] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in three}) > 1
    assert len(ask(server, method="rebase", width=4, n=2).json()["choices"]) == 2
    refused = ask(server, method="rebase", width=4, n=5)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n")


def test_stop_ends_the_text_before_it(server: Any) -> None:
    whole = ask(server, temperature=0).json()["choices"][0]["message"]["content"]
    stop = whole[20:24]
    for given in (stop, [stop], [stop, "xyz"]):
        cut = ask(server, temperature=0, stop=given).json()["choices"][0]
        assert (cut["message"]["content"], cut["finish_reason"]) == (
            whole[: whole.find(stop)],
            "stop",
        )
    parts = chunks(server, temperature=0, stop=stop)
    text = "".join(c["delta"].get("content", "") for p in parts for c in p["choices"])
    assert text == whole[: whole.find(stop)]


def test_the_seed_decides(server: Any) -> None:
    def text(**fields: Any) -> str:
        reply = server.client.post(
            "/v1/chat/completions", json={**ASK, "temperature": 1.5, **fields}
        )
        return str(reply.json()["choices"][0]["message"]["content"])

    assert text(seed=7) == text(seed=7) != text(seed=8)
    assert text(seed=-1) == text(seed=-1)
    assert text(seed=1 << 70) == text(seed=1 << 70)
    assert len({text(seed=None) for _ in range(8)}) > 1


def test_logprobs(server: Any) -> None:
    reply = ask(server, temperature=0, logprobs=True, top_logprobs=3, max_tokens=5).json()
    entries = reply["choices"][0]["logprobs"]["content"]
    assert len(entries) == 5
    for entry in entries:
        best, *rest = entry["top_logprobs"]
        assert len(rest) == 2
        assert best["token"] == entry["token"]
        assert best["logprob"] == pytest.approx(entry["logprob"], abs=1e-4)
        assert bytes(entry["bytes"]).decode("utf-8", "replace") == entry["token"]
    streamed = chunks(server, temperature=0, logprobs=True, top_logprobs=3, max_tokens=5)
    told = [
        e for p in streamed for c in p["choices"] if c["logprobs"] for e in c["logprobs"]["content"]
    ]
    assert told == entries


def test_bias_and_penalties_bend_the_choice(server: Any) -> None:
    plain = ask(server, temperature=0, max_tokens=6, logprobs=True).json()["choices"][0]
    first = plain["logprobs"]["content"][0]["token"]
    ids = server.client.post("/tokenize", json={"content": first}).json()["tokens"]
    bias = {str(token): -100 for token in ids}
    bent = ask(server, temperature=0, max_tokens=6, logprobs=True, logit_bias=bias).json()[
        "choices"
    ][0]
    assert bent["logprobs"]["content"][0]["token"] != first
    same = ask(server, temperature=0, max_tokens=6, presence_penalty=0, frequency_penalty=0.0)
    assert same.json()["choices"][0]["message"] == plain["message"]
    moved = ask(server, temperature=0, presence_penalty=2, frequency_penalty=2).json()["choices"][0]
    assert moved["message"]["content"] != plain["message"]["content"]


def test_effort_is_width(server: Any) -> None:
    low, high = (ask(server, reasoning_effort=effort).json()["usage"] for effort in ("low", "high"))
    none = ask(server, reasoning_effort="none").json()["usage"]
    assert none["completion_tokens_details"]["reasoning_tokens"] == 0
    assert none["completion_tokens"] < low["completion_tokens"] < high["completion_tokens"]
    assert ask(server, reasoning={"effort": "low"}).json()["usage"] == low


def test_a_budget_is_a_width(server: Any) -> None:
    for _ in range(2):  # the first search teaches what a path takes
        ask(server, method="majority", width=8)
    small, large = (
        ask(server, method="majority", budget=budget).json()["usage"]["total_tokens"]
        for budget in ("300tok", "2000tok")
    )
    assert small < 450
    assert small < large < 3000


def test_a_search_ends_where_its_budget_does(server: Any) -> None:
    """Even the first of its kind, of which nothing was known beforehand."""
    body = ask(server, method="beam", budget="1tok", search=True).json()
    spent = body["search"]["budget"]
    assert spent["amount"] == 1
    assert spent["overshoot"] > 0
    free = ask(server, method="beam", width=1).json()
    assert body["usage"]["completion_tokens"] < free["usage"]["completion_tokens"]


def test_thoughts_are_reasoning_tokens(thinker: Any) -> None:
    off, on = (
        ask(thinker, think=think, temperature=0, max_tokens=24).json() for think in ("off", "on")
    )
    assert off["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    assert on["usage"]["completion_tokens_details"]["reasoning_tokens"] > 24
    assert on["timings"]["thought_n"] > 24
    gated = ask(thinker, think="gated", temperature=0, max_tokens=24).json()["usage"]
    assert gated["completion_tokens"] < on["usage"]["completion_tokens"]
    model = ask(thinker, model="thinker-q4_k_m:majority-8-think", max_tokens=24).json()
    assert model["timings"]["thought_n"] > 24
