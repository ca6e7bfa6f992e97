"""Text completions, and what llama-server refuses: echo with log-probabilities, against torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import REFERENCE
from tests.methods.serve.test_chats import QUESTION

PROMPT = f"Q: {QUESTION}\nA:"
LISTED = ("tokens", "token_logprobs", "top_logprobs", "text_offset")


def complete(server: Any, **fields: Any) -> Any:
    reply = server.client.post("/v1/completions", json={"prompt": PROMPT, **fields})
    assert reply.status_code == 200, reply.text
    return reply.json()


def tokens(server: Any, text: str) -> list[int]:
    return list(server.client.post("/tokenize", json={"prompt": text}).json()["tokens"])


def events(server: Any, **fields: Any) -> Iterator[Any]:
    """The chunks of a stream."""
    body = {"prompt": PROMPT, "stream": True, **fields}
    with server.client.stream("POST", "/v1/completions", json=body) as reply:
        yield from (json.loads(line[6:]) for line in reply.iter_lines() if line[:7] == "data: {")


def streamed(server: Any, **fields: Any) -> dict[str, Any]:
    """Text and log-probabilities of a streamed completion, put together from its chunks."""
    text, found = "", dict.fromkeys(LISTED, ())
    for choice in (choice for one in events(server, **fields) for choice in one["choices"]):
        text += choice["text"]
        for name, values in (choice["logprobs"] or {}).items():
            found[name] = [*found[name], *values]
    return {"text": text, "logprobs": found}


def test_a_text_goes_on(server: Any) -> None:
    reply = complete(server, max_tokens=12, temperature=0)
    (choice,) = reply["choices"]
    assert reply["object"] == "text_completion"
    assert (choice["finish_reason"], choice["logprobs"]) == ("length", None)
    assert complete(server, max_tokens=12, temperature=0, echo=True)["choices"][0]["text"] == (
        PROMPT + choice["text"]
    )


def test_one_request_of_many_prompts_is_no_full_queue(server: Any) -> None:
    reply = complete(server, prompt=[PROMPT] * 200, max_tokens=1, temperature=0)
    assert len(reply["choices"]) == 200


def test_a_stream_of_many_prompts_tells_its_usage_once(server: Any) -> None:
    fields = {"prompt": [PROMPT, "Q: Ann has 2 pens."], "max_tokens": 4, "temperature": 0, "n": 2}
    told = events(server, **fields, stream_options={"include_usage": True})
    assert [one["usage"] for one in told if not one["choices"]] == [
        complete(server, **fields)["usage"]
    ]


def test_what_a_stop_held_back_comes_without_a_token(server: Any) -> None:
    fields = {"max_tokens": 300, "temperature": 0, "logprobs": 1}
    text = complete(server, **fields)["choices"][0]["text"]
    fields["stop"] = [text[-2:] + "never"]
    whole = complete(server, **fields)["choices"][0]
    assert whole["finish_reason"] == "stop"
    assert streamed(server, **fields) == {key: whole[key] for key in ("text", "logprobs")}


@pytest.mark.parametrize("length", [0, 8])
def test_a_stream_echoes_what_a_whole_reply_does(server: Any, length: int) -> None:
    """Text, tokens, log-probabilities and offsets, put together again from their chunks."""
    fields = {"max_tokens": length, "temperature": 0, "echo": True, "logprobs": 2}
    whole = complete(server, **fields)["choices"][0]
    assert streamed(server, **fields) == {key: whole[key] for key in ("text", "logprobs")}


def test_prompts_in_all_forms_are_answered_in_order(server: Any) -> None:
    ids = tokens(server, PROMPT)
    one = complete(server, max_tokens=6, temperature=0)["choices"][0]["text"]
    for prompt in (ids, [PROMPT], [ids]):
        assert (
            complete(server, prompt=prompt, max_tokens=6, temperature=0)["choices"][0]["text"]
            == one
        )
    reply = complete(
        server, prompt=[PROMPT, "Q: Ann has 2 pens.", PROMPT], max_tokens=6, temperature=0, n=2
    )
    assert [choice["index"] for choice in reply["choices"]] == list(range(6))
    texts = [choice["text"] for choice in reply["choices"]]
    assert texts[:2] == texts[4:] == [one, one]
    assert reply["usage"]["completion_tokens"] == 36


def test_echoed_logprobs_are_torchs(server: Any) -> None:
    """The numbers lm-eval reads, of a quantized model, beside full precision."""
    from transformers import AutoModelForCausalLM

    ids = tokens(server, PROMPT)
    reply = complete(server, prompt=ids, max_tokens=1, temperature=0, echo=True, logprobs=2)
    told = reply["choices"][0]["logprobs"]
    assert told["token_logprobs"][0] is None
    assert len(told["token_logprobs"]) == len(ids) + 1
    model = AutoModelForCausalLM.from_pretrained(REFERENCE / "policy", dtype=torch.float32)
    with torch.no_grad():
        rows = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
    exact = rows[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy()
    found = np.array(told["token_logprobs"][1 : len(ids)])
    assert np.abs(found - exact).mean() < 0.3  # q4_k_m, and no prompt of its kind
    assert np.corrcoef(found, exact)[0, 1] > 0.98
    best = max(told["top_logprobs"][-1], key=told["top_logprobs"][-1].get)
    assert best == told["tokens"][-1]
    joined = "".join(told["tokens"])
    for offset, token in zip(told["text_offset"], told["tokens"], strict=True):
        assert joined[offset : offset + len(token)] == token


def test_nothing_but_the_prompt(server: Any) -> None:
    reply = complete(server, max_tokens=0, echo=True, logprobs=1)
    (choice,) = reply["choices"]
    assert choice["text"] == PROMPT
    assert len(choice["logprobs"]["tokens"]) == len(tokens(server, PROMPT))


def test_a_search_over_a_bare_prompt(server: Any) -> None:
    turns = [{"role": "user", "content": QUESTION}]
    prompt = server.client.post("/apply-template", json={"messages": turns}).json()["prompt"]
    reply = complete(server, prompt=prompt, method="rebase", width=4, max_tokens=200, seed=0)
    assert "answer is: 28" in reply["choices"][0]["text"]


@pytest.mark.parametrize("prompt", [[], [[]], [999999], [PROMPT] * 300])
def test_prompts_that_cannot_be_read(server: Any, prompt: Any) -> None:
    reply = server.client.post("/v1/completions", json={"prompt": prompt})
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_tokens_both_ways(server: Any) -> None:
    ask = server.client.post
    llama = ask("/tokenize", json={"content": "3 + 4", "with_pieces": True}).json()["tokens"]
    assert "".join(token["piece"] for token in llama).strip() == "3 + 4"
    vllm = ask("/v1/tokenize", json={"prompt": "3 + 4", "add_special_tokens": False}).json()
    assert vllm["count"] == len(vllm["tokens"]) == len(llama)
    back = ask("/detokenize", json={"tokens": vllm["tokens"]}).json()
    assert back["content"].strip() == back["prompt"].strip() == "3 + 4"
    info = server.client.get("/tokenizer_info").json()
    assert info["eos_token"]
    shown = ask("/apply-template", json={"messages": [{"role": "user", "content": "Hi"}]}).json()
    assert "Hi" in shown["prompt"]
