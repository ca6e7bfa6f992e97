"""How a model is asked, exactly: for people, and as a document for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from methods.answers.tasks import WANTED
from methods.problem import Problem
from methods.trial import Trial
from runtime.engine import Engine
from runtime.prompt import conversation_text, effective_format, prompt_tokens

OWN = "the model's own"


def prompt_document(engine: Engine, problem: Problem) -> dict[str, Any]:
    """The prompt of a problem, what ends a step, and what ends an answer."""
    turn = {"role": "user", "content": problem.question}
    wanted = WANTED[problem.task]
    return {
        "text": conversation_text(engine, [turn], instruct=True, wanted=wanted),
        "token_ids": prompt_tokens(engine, problem.question, wanted),
        "format": asdict(effective_format(engine)),
        "end_ids": sorted(engine.tokenizer.eos_ids),
        "end_texts": list(Trial(engine, None).stops),
    }


def prompt_report(engine: Engine, problem: Problem) -> str:
    """The same as people read it; texts that end something are quoted."""
    found, form = prompt_document(engine, problem), effective_format(engine)
    ids, ends, texts = found["token_ids"], found["end_ids"], found["end_texts"]
    lines = [
        found["text"],
        "",
        f"format: {form.name or OWN}",
        f"tokens: {len(ids)}, the first of them {ids[:3]}",
        f"a step ends with: {_quoted(form.step_stop)}",
        f"the answer is marked by: {_quoted(form.answer_marker)}",
        f"tokens that end an answer: {', '.join(map(str, ends)) or 'none'}",
        f"texts that end an answer: {', '.join(map(_quoted, texts)) or 'none'}",
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
