"""A server whose policy judges its own steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.methods.serve.conftest import serving


def test_trees_grow_without_a_second_model(reference: Callable[[str, str], Path]) -> None:
    policy = reference("policy", "q4_k_m")
    with serving("--policy", str(policy), "--reward", "logprob", "--device", "cpu") as server:
        assert server.client.get("/props").json()["reward"] == "logprob"
        body = {
            "messages": [{"role": "user", "content": "Ann has 2 pens and buys 3. How many?"}],
            "width": 4,
            "max_tokens": 60,
        }
        reply = server.client.post("/v1/rebase/chat/completions", json=body).json()
        assert reply["choices"][0]["message"]["content"]
        assert reply["timings"]["reward_n"] == 0
        for path, asked in (
            ("/score", {"queries": "2 + 2?", "documents": "4"}),
            ("/pooling", {"prompt": "2 + 2?", "steps": ["4"]}),
            ("/rerank", {"query": "2 + 2?", "documents": ["4"]}),
        ):
            refused = server.client.post(path, json=asked)
            assert refused.status_code == 501, path
            assert "reward model" in refused.json()["error"]["message"]
