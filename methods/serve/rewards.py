"""Process rewards over HTTP: steps in, a score for each and one for all of them out.

`/pooling` takes a question and its steps, `/v1/score` questions and whole answers, `/v1/rerank` one
question and the answers to put in order. Answers are cut into steps as the policy writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from methods.serve.errors import ApiError, bad
from methods.serve.exchange import Exchange
from methods.serve.fields import PoolingBody, RerankBody, ScoreBody
from methods.serve.messages import question, turns
from methods.serve.replies import usage
from methods.serve.work import Rewards, Scoring

if TYPE_CHECKING:
    from methods.serve.desk import Desk

MOST_TEXTS = 1024


def pooling(desk: Desk, body: PoolingBody) -> Exchange[Rewards]:
    """A score for every step of one answer, and their aggregate.

    Raises:
        ApiError: if there is no reward model, or nothing to score.
    """
    _judged(desk)
    asked, steps = body.prompt, list(body.steps)
    if body.messages:
        conversation = turns(body.messages)
        asked = question(conversation)
        steps = steps or [turn["content"] for turn in conversation if turn["role"] == "assistant"]
    if isinstance(body.input, list):
        asked, steps = (body.input[0] if body.input else ""), steps or body.input[1:]
    elif body.input is not None:
        asked = body.input
    if not asked or not steps:
        raise bad("give prompt and steps, or messages with a question and its steps", "steps")
    work = Scoring(((asked, tuple(steps)),), body.aggregation)

    def write(done: Rewards) -> dict[str, Any]:
        entry = {"index": 0, "object": "pooling", "data": done.steps[0], "score": done.scores[0]}
        return {**_head(desk, "list"), "data": [entry], "usage": _usage(done)}

    return Exchange(desk.submit(work), write)


def score(desk: Desk, body: ScoreBody) -> Exchange[Rewards]:
    """A score for every pair of a question and an answer; one question goes with all answers.

    Raises:
        ApiError: if there is no reward model, or the numbers of both differ.
    """
    _judged(desk)
    questions = _listed(body.queries if body.queries is not None else body.text_1, "text_1")
    answers = _listed(body.documents if body.documents is not None else body.text_2, "text_2")
    if len(questions) == 1:
        questions *= len(answers)
    if len(questions) != len(answers):
        raise bad(f"{len(questions)} questions and {len(answers)} answers do not pair", "text_1")
    pairs = tuple((q, desk.steps(a)) for q, a in zip(questions, answers, strict=True))

    def write(done: Rewards) -> dict[str, Any]:
        data = [
            {"index": i, "object": "score", "score": value, "steps": done.steps[i]}
            for i, value in enumerate(done.scores)
        ]
        return {**_head(desk, "list"), "data": data, "usage": _usage(done)}

    return Exchange(desk.submit(Scoring(pairs, body.aggregation)), write)


def rerank(desk: Desk, body: RerankBody) -> Exchange[Rewards]:
    """The answers to one question, best first.

    Raises:
        ApiError: if there is no reward model.
    """
    _judged(desk)
    texts = [d if isinstance(d, str) else d.text for d in body.documents]
    _counted(texts, "documents")
    pairs = tuple((body.query, desk.steps(text)) for text in texts)

    def write(done: Rewards) -> dict[str, Any]:
        order = sorted(range(len(texts)), key=lambda i: -done.scores[i])[: body.top_n]
        results: list[dict[str, Any]] = [
            {"index": i, "relevance_score": done.scores[i]} for i in order
        ]
        if body.return_documents:
            results = [{**r, "document": {"text": texts[r["index"]]}} for r in results]
        return {**_head(desk, "list"), "results": results, "usage": _usage(done)}

    return Exchange(desk.submit(Scoring(pairs, body.aggregation)), write)


def _judged(desk: Desk) -> None:
    if desk.reward is None:
        raise ApiError(501, "this server has no reward model; start it with --reward MODEL")


def _listed(given: str | list[str] | None, name: str) -> list[str]:
    found = [given] if isinstance(given, str) else list(given or [])
    _counted(found, name)
    return found


def _counted(texts: Sequence[str], name: str) -> None:
    if not 0 < len(texts) <= MOST_TEXTS:
        raise bad(f"{name} holds {len(texts)} texts; choose 1 to {MOST_TEXTS}", name)
    if empty := [i for i, text in enumerate(texts) if not text.strip()]:
        raise bad(f"{name}: text {empty[0]} is empty", name)


def _head(desk: Desk, kind: str) -> dict[str, Any]:
    return {"object": kind, "model": desk.reward_name}


def _usage(done: Rewards) -> dict[str, Any]:
    return usage(done.scorer_usage.tokens, 0, 0)
