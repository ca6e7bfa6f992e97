"""Process rewards over HTTP are those that a search sees."""

from __future__ import annotations

from typing import Any

import pytest

from methods.opened import Models
from methods.serve.work import Scoring
from runtime.engine import ContextFull
from tests.methods.serve.test_chats import QUESTION, ask
from tests.profiles.run.scripted import policy, reward

RIGHT = [
    "Step 1: Mia bakes 6 * 8 = 48 rolls. ки\n",
    "Step 2: There are 48 - 20 = 28 rolls left. The answer is: 28 ки",
]
WRONG = [
    "Step 1: Mia bakes 6 * 8 = 40 rolls. ки\n",
    "Step 2: There are 40 - 20 = 25 rolls left. The answer is: 25 ки",
]


def post(server: Any, path: str, **body: Any) -> Any:
    reply = server.client.post(path, json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_a_score_for_every_step(server: Any) -> None:
    (entry,) = post(server, "/pooling", prompt=QUESTION, steps=RIGHT)["data"]
    (worse,) = post(server, "/v1/pooling", prompt=QUESTION, steps=WRONG)["data"]
    assert len(entry["data"]) == 2
    assert entry["data"][0] > 0.9
    assert worse["data"][0] < 0.2
    assert entry["score"] == entry["data"][-1] > worse["score"]
    lowest = post(server, "/pooling", prompt=QUESTION, steps=RIGHT, aggregation="min")["data"][0]
    assert lowest["score"] == min(entry["data"])
    turns = [
        {"role": "user", "content": QUESTION},
        *({"role": "assistant", "content": s} for s in RIGHT),
    ]
    assert post(server, "/pooling", messages=turns)["data"][0]["data"] == pytest.approx(
        entry["data"], abs=1e-3
    )


def test_scores_are_those_of_a_search(server: Any) -> None:
    reply = ask(server, method="best-of-n", width=2, search=True).json()
    for candidate in reply["search"]["candidates"]:
        if not candidate["finished"]:
            continue
        steps = [step["text"] for step in candidate["steps"]]
        (entry,) = post(server, "/pooling", prompt=QUESTION, steps=steps)["data"]
        assert entry["data"] == pytest.approx(
            candidate["scores"], abs=0.02
        )  # another batch, q4_k_m


def test_answers_in_order(server: Any) -> None:
    documents = ["".join(WRONG), {"text": "".join(RIGHT)}]
    for path in ("/rerank", "/v1/rerank", "/reranking", "/v1/reranking"):
        results = post(server, path, query=QUESTION, documents=documents)["results"]
        assert [result["index"] for result in results] == [1, 0]
    (best,) = post(
        server, "/rerank", query=QUESTION, documents=documents, top_n=1, return_documents=True
    )["results"]
    assert best["document"]["text"] == "".join(RIGHT)
    scores = post(server, "/v1/score", text_1=QUESTION, text_2=["".join(WRONG), "".join(RIGHT)])[
        "data"
    ]
    assert scores[1]["score"] == pytest.approx(best["relevance_score"], abs=1e-3)
    assert post(server, "/score", queries=[QUESTION], documents=["".join(RIGHT)])["data"][0][
        "steps"
    ]


def test_an_answer_longer_than_the_cache_is_refused() -> None:
    """A search would let its last score stand; here somebody asked for each."""
    asked = Scoring((("Q0?", ("So.", "Well, let me see, or not.", "5.")),))
    with pytest.raises(ContextFull, match="reward model's KV cache of 30 tokens"):
        asked.run(Models(policy(), reward(context=30)), lambda _: None)
    assert len(asked.run(Models(policy(), reward()), lambda _: None).steps[0]) == 3
