"""A server whose policy judges its own steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.methods.fitted import fitted
from tests.methods.serve.conftest import serving

ASKED = {
    "messages": [{"role": "user", "content": "Ann has 2 pens and buys 3. How many?"}],
    "width": 4,
    "max_tokens": 60,
}


def test_trees_grow_without_a_second_model(reference: Callable[[str, str], Path]) -> None:
    policy = reference("policy", "q4_k_m")
    with serving("--policy", str(policy), "--reward", "logprob", "--device", "cpu") as server:
        assert server.client.get("/props").json()["reward"] == "logprob"
        reply = server.client.post("/v1/rebase/chat/completions", json=ASKED).json()
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


def test_a_fitted_judge_serves_every_search_with_thoughts_and_times_a_model(
    reference: Callable[[str, str], Path], tmp_path: Path
) -> None:
    policy = fitted(reference("thinker", "q4_k_m"), tmp_path)
    own = "--policy", str(policy), "--device", "cpu", "--reward"
    with serving(*own, "self") as server:
        assert server.client.get("/props").json()["reward"] == "self"
        ids = [model["id"] for model in server.client.get("/v1/models").json()["data"]]
        assert "thinker-q4_k_m:rebase-8-think" in ids
        for method in ("rebase", "dora", "best-of-n"):
            asked = {**ASKED, "think": True, "search": True}
            reply = server.client.post(f"/v1/{method}/chat/completions", json=asked).json()
            assert reply["timings"]["thought_n"] > 0
            assert reply["timings"]["reward_n"] == 0
            scores = [s for c in reply["search"]["candidates"] for s in c["scores"]]
            assert all(0 < score < 1 for score in scores)
            assert len(set(scores)) > 1
    model = reference("reward", "q4_k_m")
    with serving(*own, f"self*{model}") as server:
        assert server.client.get("/props").json()["reward"] == f"self*{model.name}"
        reply = server.client.post("/v1/ets/chat/completions", json=ASKED).json()
        assert reply["timings"]["reward_n"] > 0
        asked = {"prompt": "2 + 2?", "steps": ["4"]}
        assert server.client.post("/pooling", json=asked).json()["model"] == model.name
