"""Every error is one object, under the status and the words that clients look for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.methods.serve.conftest import Running, serving
from tests.methods.serve.test_chats import ASK, ask


@pytest.fixture(scope="module")
def locked(reference: Any) -> Iterator[Running]:
    """A server with two keys, no reward model and a small context."""
    policy = str(reference("policy", "q4_k_m"))
    more = ("--api-key", "sesame", "--api-key", "second", "--context", "512")
    with serving("--policy", policy, *more) as running:
        yield running


def error(reply: Any, status: int) -> Any:
    assert reply.status_code == status, reply.text
    found = reply.json()["error"]
    assert set(found) >= {"message", "type", "param", "code"}
    assert "Traceback" not in reply.text
    assert "/" not in found["message"].replace("/v1/models", ""), "no path of the machine"
    return found


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"n": 0}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0",
        ),
        ({"messages": [{"role": "system", "content": "x"}], "method": "majority"}, "messages"),
        ({"method": "telepathy"}, "method"),
        ({"method": "rebase", "width": 200}, "width"),
        ({"think": "on"}, "think"),
        ({"budget": "much", "method": "majority"}, "budget"),
        ({"logit_bias": {"999999": 1}}, "logit_bias"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stop": 5}, "stop"),
    ],
)
def test_a_wrong_field_is_named(server: Any, fields: dict[str, Any], param: str) -> None:
    found = error(ask(server, **fields), 400)
    assert found["type"] == "invalid_request_error"
    assert str(found["param"]).startswith(param)


def test_unknown_things_are_not_found(server: Any) -> None:
    assert error(ask(server, model="gpt-9"), 404)["code"] == "model_not_found"
    assert error(ask(server, model="policy-q4_k_m:telepathy-4"), 404)["code"] == "model_not_found"
    assert error(server.client.get("/v1/models/gpt-9"), 404)["code"] == "model_not_found"
    error(server.client.get("/v1/nothing"), 404)
    error(server.client.get("/v1/chat/completions"), 405)


def test_broken_bodies(server: Any) -> None:
    for content in (b"", b"{", b"[]", b"\xff\xfe", b'{"messages": 3}', b"null"):
        reply = server.client.post(
            "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
        )
        error(reply, 400)


def test_a_body_may_be_only_so_large(server: Any) -> None:
    error(ask(server, user="x" * (9 << 20)), 413)

    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * (1 << 16)

    error(server.client.post("/v1/chat/completions", content=endless()), 413)


def test_keys(locked: Running) -> None:
    assert error(ask(locked), 401)["code"] == "invalid_api_key"
    for headers in (
        {"authorization": "Bearer wrong"},
        {"x-api-key": "sesam"},
        {"authorization": "sesame"},
    ):
        error(locked.client.get("/v1/models", headers=headers), 401)
    for headers in ({"authorization": "Bearer sesame"}, {"x-api-key": "second"}):
        assert locked.client.get("/v1/models", headers=headers).status_code == 200
    assert locked.client.get("/health").json() == {"status": "ok"}
    assert locked.client.get("/v1/health").status_code == 200


def test_a_prompt_longer_than_the_context(locked: Running) -> None:
    long = {"messages": [{"role": "user", "content": "word " * 900}]}
    reply = locked.client.post(
        "/v1/chat/completions", json=long, headers={"authorization": "Bearer sesame"}
    )
    found = error(reply, 400)
    assert found["code"] == "context_length_exceeded"
    assert found["n_prompt_tokens"] > found["n_ctx"] == 512


def test_what_needs_a_judge_says_so(locked: Running) -> None:
    headers = {"authorization": "Bearer sesame"}
    body = {**ASK, "method": "rebase"}
    found = error(locked.client.post("/v1/chat/completions", json=body, headers=headers), 400)
    assert "needs a reward model" in found["message"]
    reply = locked.client.post("/v1/score", json={"text_1": "a", "text_2": "b"}, headers=headers)
    assert error(reply, 501)["type"] == "not_supported_error"


def test_only_names_of_this_machine_are_served(server: Any) -> None:
    error(server.client.get("/v1/models", headers={"host": "evil.example"}), 403)
    port = server.url.rsplit(":", 1)[1]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}"):
        assert server.client.get("/v1/models", headers={"host": host}).status_code == 200


def test_pages_of_this_machine_may_ask_and_others_may_not(server: Any) -> None:
    wanted = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-stainless-os",
    }
    for origin, allowed in (("http://localhost:3000", True), ("https://evil.example", False)):
        reply = server.client.options("/v1/chat/completions", headers={"origin": origin, **wanted})
        assert (reply.headers.get("access-control-allow-origin") == origin) is allowed


def test_a_taken_port_is_one_line(reference: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with (
            pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1:{port}"),
            serving("--policy", str(reference("policy", "q4_k_m")), "--port", port),
        ):
            pass
