"""Clients that leave, queues that are full, servers that are stopped."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.methods.serve.conftest import serving
from tests.methods.serve.test_chats import ASK, QUESTION, ask


def endless(server: Any) -> dict[str, Any]:
    """A request that no machine answers in a second."""
    eos = server.client.get("/tokenizer_info").json()["eos_token"]
    ids = server.client.post("/tokenize", json={"content": eos}).json()["tokens"]
    return {**ASK, "n": 16, "max_tokens": 4000, "logit_bias": {str(i): -100 for i in ids}}


CHATS = "/v1/chat/completions"
LONG = {**ASK, "method": "majority", "width": 20, "temperature": 2.0, "max_tokens": 400}


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_frees_what_he_used(server: Any, stream: bool) -> None:
    cancelled = server.metric("requests_cancelled_total")
    body = {**endless(server), "stream": stream}
    with (
        suppress(httpx.ReadTimeout),
        server.client.stream("POST", "/v1/chat/completions", json=body, timeout=0.5) as reply,
    ):
        for _ in zip(range(40), reply.iter_lines(), strict=False):
            pass
    server.until(lambda: server.metric("requests_processing") == 0)
    server.until(lambda: server.metric("kv_cache_usage_perc") < 0.2)  # prompts are kept
    assert server.metric("requests_cancelled_total") == cancelled + 1
    assert ask(server, temperature=0).status_code == 200


def test_a_plain_request_is_not_stuck_behind_a_search(server: Any) -> None:
    with ThreadPoolExecutor() as pool:
        search = pool.submit(server.client.post, "/v1/chat/completions", json={**LONG, "width": 30})
        time.sleep(0.1)
        assert ask(server, temperature=0, max_tokens=8).status_code == 200
        assert not search.done()
        assert search.result().status_code == 200


def test_silence_is_filled_with_pings(server: Any) -> None:
    body = {**LONG, "stream": True, "sse_ping_interval": 0.05}
    with server.client.stream("POST", "/v1/chat/completions", json=body) as reply:
        lines = list(reply.iter_lines())
    assert lines.count(": ping") > 2
    assert lines[-2] == "data: [DONE]"


def test_a_full_queue_turns_away(reference: Any) -> None:
    policy = str(reference("policy", "q4_k_m"))
    with serving("--policy", policy, "--queue", "1", "--branches", "34") as running:
        with ThreadPoolExecutor(16) as pool:
            replies = list(
                pool.map(
                    lambda _: running.client.post(
                        "/v1/chat/completions", json={**LONG, "width": 16}
                    ),
                    range(16),
                )
            )
        refused = [reply for reply in replies if reply.status_code == 429]
        assert refused
        assert len(refused) < 16
        assert all(int(reply.headers["retry-after"]) > 0 for reply in refused)
        assert all(r.json()["error"]["code"] == "rate_limit_exceeded" for r in refused)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_stop_ends_streams_with_an_error(reference: Any, name: str, code: int) -> None:
    policy = str(reference("policy", "q4_k_m"))
    with serving("--policy", policy, "--grace", "0.2") as running:
        body = {**endless(running), "stream": True}
        with running.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            lines = reply.iter_lines()
            next(lines)
            running.process.send_signal(getattr(signal, name))
            said = list(lines)
        assert any('"error"' in line and "stopped" in line for line in said)
        assert "data: [DONE]" in said
        assert running.process.wait(20) == code


def test_a_stop_lets_requests_finish(reference: Any) -> None:
    policy = str(reference("policy", "q4_k_m"))
    with serving("--policy", policy, "--grace", "30") as running:
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(
                running.client.post, "/v1/chat/completions", json={**ASK, "temperature": 0}
            )
            time.sleep(0.05)
            running.process.send_signal(signal.SIGTERM)
            assert asked.result().json()["choices"][0]["finish_reason"] == "stop"
        assert running.process.wait(20) == 143


def test_killed_under_load_the_next_start_needs_nothing(reference: Any) -> None:
    """Clients get a clean error of their connection, at once; the same port serves again."""
    policy = str(reference("policy", "q4_k_m"))
    cold = {**ASK, "temperature": 0}
    with serving("--policy", policy) as running:
        alone = running.client.post(CHATS, json=cold).json()["choices"]
        streams = [{**endless(running), "stream": number % 2 == 0} for number in range(8)]

        def lost(body: dict[str, Any]) -> bool:
            try:
                running.client.post(CHATS, json=body)
            except httpx.TransportError:
                return True
            return False

        with ThreadPoolExecutor(8) as pool:
            found = [pool.submit(lost, body) for body in streams]
            running.until(lambda: running.metric("requests_processing") > 4)
            running.process.kill()
            assert all(future.result(timeout=10) for future in found)
        port = running.url.rpartition(":")[2].strip("/")
    with serving("--policy", policy, "--port", port) as running:
        assert running.client.post(CHATS, json=cold).json()["choices"] == alone


def test_the_same_request_in_any_company_is_the_same(server: Any) -> None:
    fields = [
        {"temperature": 0},
        {"temperature": 1.0, "seed": 3},
        {"method": "majority", "width": 4},
        {"method": "rebase", "width": 4},
    ]
    alone = [ask(server, **each).json()["choices"] for each in fields]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda each: ask(server, **each).json()["choices"], fields * 6))
    same = sum(found == alone[i % len(fields)] for i, found in enumerate(together))
    assert same >= 0.9 * len(together)  # kernels round by batch size
    server.until(lambda: server.metric("requests_processing") == 0)


def test_models_and_facts_tell_no_path(server: Any) -> None:
    models = server.client.get("/v1/models").json()["data"]
    ids = [model["id"] for model in models]
    assert ids[0] == "policy-q4_k_m"
    assert {"policy-q4_k_m:majority-8", "policy-q4_k_m:rebase-16", "policy-q4_k_m:greedy"} <= set(
        ids
    )
    assert models[0]["meta"]["n_ctx"] == models[0]["max_model_len"] == 8192
    one = server.client.get("/v1/models/policy-q4_k_m:rebase-16").json()
    assert one["id"] == "policy-q4_k_m:rebase-16"
    props = server.client.get("/props").json()
    assert props["reward"] == "reward-q4_k_m.gguf"
    for path in ("/v1/models", "/props", "/metrics", "/"):
        text = server.client.get(path).text
        assert "/tmp" not in text
        assert "/root" not in text
    assert server.client.head("/").status_code == 200


def test_health_answers_while_the_worker_works(server: Any) -> None:
    waits: list[float] = []

    def look() -> None:
        for _ in range(20):
            began = time.monotonic()
            assert server.client.get("/health").status_code == 200
            waits.append(time.monotonic() - began)
            time.sleep(0.02)

    looking = threading.Thread(target=look)
    looking.start()
    assert (
        ask(server, **{**LONG, "messages": [{"role": "user", "content": QUESTION}]}).status_code
        == 200
    )
    looking.join()
    assert sorted(waits)[-2] < 0.5
