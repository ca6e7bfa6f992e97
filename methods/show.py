"""An answer as people read it, and as a document for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from convert.artifact import Aggregation, PromptFormat
from methods.candidate import AGGREGATIONS, Answer, Candidate, Stage
from runtime.engine import Step, Usage


def report(answer: Answer) -> str:
    """The answer, the path it came from with scores, the votes and the cost."""
    lines = [f"Answer: {answer.text if answer.text is not None else 'none found'}", ""]
    if best := best_path(answer):
        lines += _path(best)
    if len(answer.candidates) > 1:
        lines += ["", "Votes", *_votes(answer)]
    return "\n".join([*lines, "", *_cost(answer)])


def document(answer: Answer) -> dict[str, Any]:
    """The answer as JSON data."""
    return {
        "answer": answer.text,
        "selection": answer.selection,
        "candidates": [
            _candidate(c, text, answer.aggregation)
            for c, text in zip(answer.candidates, values(answer), strict=True)
        ],
        "usage": _usage(answer.usage),
        "scorer_usage": _usage(answer.scorer_usage),
        "latency_s": answer.latency_s,
        "scorer_s": answer.scorer_s,
        "ttft_s": answer.ttft_s,
        "dropped": answer.dropped,
        "budget": None
        if answer.budget is None
        else {**asdict(answer.budget), "spent": answer.spent, "overshoot": answer.overshoot},
    }


def tree(question: str, answer: Answer) -> dict[str, Any]:
    """The whole search as JSON data: every stage with its budget, widths and scored candidates."""
    stages = [stage_document(depth, stage) for depth, stage in enumerate(answer.stages, 1)]
    return {"question": question, "levels": stages, **document(answer)}


def values(answer: Answer) -> list[str | None]:
    """What each candidate answered; equal values are written alike, as the answer is."""
    given = [candidate.reading.answer for candidate in answer.candidates]
    texts = [text for text in (answer.text, *given) if text is not None]
    if not texts:
        return given
    alike = dict(zip(texts, answer.candidates[0].reader.groups(texts), strict=True))
    return [None if text is None else alike[text] for text in given]


def best_path(answer: Answer) -> Candidate | None:
    """The highest scored candidate that gave the chosen answer."""
    text = answer.text
    givers = [c for c in answer.candidates if text is not None and c.gives(text)]
    return max(givers, key=lambda c: path_score(c, answer.aggregation), default=None)


def path_score(candidate: Candidate, aggregation: Aggregation) -> float:
    """The score of a whole path; 0 where nobody scored it."""
    return AGGREGATIONS[aggregation](candidate.scores) if candidate.scores else 0.0


def _path(candidate: Candidate) -> list[str]:
    lines = []
    for number, step in enumerate(candidate.steps):
        score = f"{candidate.scores[number]:6.3f}  " if candidate.scores else ""
        lines.append(score + " ".join(step.text.split()))
    return lines


def votes(answer: Answer) -> list[dict[str, Any]]:
    """For each value of an answer its paths and their scores' sum, most paths first.

    `answer` None stands for paths that gave none, `weight` None for paths that nobody scored.
    """
    paths: Counter[str | None] = Counter()
    weights: dict[str | None, float] = {}
    for value, candidate in zip(values(answer), answer.candidates, strict=True):
        paths[value] += 1
        weights[value] = weights.get(value, 0.0) + path_score(candidate, answer.aggregation)
    scored = any(c.scores for c in answer.candidates)
    order = sorted(paths, key=lambda value: (value is None, -paths[value]))
    return [
        {"answer": value, "paths": paths[value], "weight": weights[value] if scored else None}
        for value in order
    ]


def _votes(answer: Answer) -> list[str]:
    lines = []
    for vote in votes(answer):
        line = (
            f"  {vote['answer'] or 'no answer':>10}  {vote['paths']:3d} of {len(answer.candidates)}"
        )
        told = vote["answer"] is not None and vote["weight"] is not None
        lines.append(f"{line}  weight {vote['weight']:.3f}" if told else line)
    return lines


def _cost(answer: Answer) -> list[str]:
    policy, reward = answer.usage, answer.scorer_usage
    lines = [
        f"Cost: {answer.latency_s:.2f} s, first token after {answer.ttft_s:.2f} s",
        f"  policy {policy.tokens} tokens ({policy.prefill_tokens} prefill, "
        f"{policy.decode_tokens} decode) in {policy.calls} calls",
    ]
    if places := policy.thoughts + policy.skipped_thoughts:
        lines.append(
            f"  and {policy.thought_tokens} thought tokens, in {policy.thoughts} thoughts after "
            f"{100 * policy.thoughts / places:.0f} % of the tokens"
        )
    if answer.budget is not None:
        over = f", {100 * answer.overshoot:.0f} % beyond it" if answer.overshoot else ""
        lines.append(f"  budget of {answer.budget}: {answer.spent:.3g} spent{over}")
    if reward.tokens:
        lines.append(f"  reward {reward.tokens} tokens in {reward.calls} calls")
    if answer.stages:
        depth, cut = len(answer.stages), sum(not c.finished for c in answer.candidates)
        lines.append(
            f"  tree of {depth} stages, {len(answer.candidates)} leaves ({cut} cut off), "
            f"{answer.dropped} pruned"
        )
    return lines


def stage_document(depth: int, stage: Stage) -> dict[str, Any]:
    """A stage of a search as JSON data."""
    return {
        "depth": depth,
        "budget": stage.budget,
        "widths": list(stage.shares),
        "candidates": [
            {
                "branch": c.branch.id,
                "parent": c.branch.parent,
                "score": c.score,
                "finished": c.finished,
                **_step(c.steps[-1]),
            }
            for c in stage.candidates
        ],
    }


def _candidate(candidate: Candidate, text: str | None, aggregation: Aggregation) -> dict[str, Any]:
    return {
        "branch": candidate.branch.id,
        "answer": text,
        "rule": candidate.reading.rule,
        "finished": candidate.finished,
        "score": path_score(candidate, aggregation) if candidate.scores else None,
        "scores": list(candidate.scores),
        "steps": [_step(step) for step in candidate.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "text": step.text,
        "tokens": len(step.token_ids),
        "logprob": sum(step.logprobs),
        "finish": step.finish,
    }


def _usage(usage: Usage) -> dict[str, float]:
    return {name: getattr(usage, name) for name in Usage.__dataclass_fields__}


def progress(stages: Sequence[Stage]) -> str:
    """One line about a search under way."""
    last = stages[-1]
    best = max((c.score for c in last.candidates), default=0.0)
    return f"stage {len(stages)}: {len(last.candidates)} candidates, best score {best:.3f}"


def unbranched(form: PromptFormat | None) -> str:
    """What to say of a search whose paths were one step each."""
    stop = (form or PromptFormat()).step_stop
    return (
        "every path was one step, so that nothing was searched; say what ends a step with "
        f"--step-stop (now {stop!r}), or choose a --prompt whose steps the model writes"
    )
