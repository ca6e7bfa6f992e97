"""What the lines of a data file hold: which task they are of, their question and gold answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from convert.refusal import Refusal
from methods.answers import exact
from methods.answers.plain import boxes, plain
from methods.answers.tasks import TaskName
from methods.answers.written import normalise

LETTERS = "ABCDE"
HASHES = "####"
LABEL = re.compile(r"^\s*\(?[A-Ea-e][).:]\s*")  # of an option that names its own letter
EXPECTED = (
    "expected lines with 'question' and 'answer' ending in '#### N' (GSM8K), 'problem' and "
    "'answer' or 'solution' (MATH), or 'question' and 'choices' or 'options' (multiple choice)"
)
KINDS = {
    **dict.fromkeys((int, float), "a number"),
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "a table",
}


def kind(value: object) -> str:
    """What a JSON value is, for people."""
    return "missing or null" if value is None else KINDS[type(value)]


def detect(record: Mapping[str, Any]) -> TaskName:
    """The task that a line's fields belong to."""
    if "problem" in record:
        return "math"
    if "choices" in record or "options" in record:
        return "choice"
    answer = record.get("answer")
    marked = not isinstance(answer, str) or HASHES in answer or _number(answer) is not None
    return "gsm8k" if marked else "exact"


def question_and_gold(record: Mapping[str, Any], task: TaskName) -> tuple[str, str]:
    """The question as it is asked, and its gold answer.

    Raises:
        Refusal: if fields are missing or hold something else; names them.
    """
    question = _text(record, "problem" if "problem" in record else "question")
    if task == "choice":
        return _with_options(question, record)
    return question, GOLDS[task](record)


def number_gold(record: Mapping[str, Any]) -> str:
    """The number after the last `####`, or the answer that is one."""
    answer = record.get("answer")
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    text = _text({"answer": answer}, "answer")
    after = text.rpartition(HASHES)[2] if HASHES in text else text
    value = normalise(plain(after).lstrip().split("\n", 1)[0]) if HASHES in text else _number(text)
    if value is None:
        raise Refusal("no '#### N' in the answer")
    return value


def math_gold(record: Mapping[str, Any]) -> str:
    """The answer, or what the solution puts into its last box."""
    if record.get("answer") is not None:
        answer = record["answer"]
        return str(answer) if isinstance(answer, int | float) else _text(record, "answer").strip()
    boxed = boxes(_text(record, "solution"))
    if not boxed:
        raise Refusal("no 'answer', and no \\boxed{} in the solution")
    return boxed[-1][2].strip()


def text_gold(record: Mapping[str, Any]) -> str:
    """The answer as it stands."""
    answer = record.get("answer")
    text = str(answer) if isinstance(answer, int | float) else _text(record, "answer")
    if not text.strip():
        raise Refusal("the answer is empty")
    return text.strip()


GOLDS: dict[TaskName, Callable[[Mapping[str, Any]], str]] = {
    "gsm8k": number_gold,
    "math": math_gold,
    "exact": text_gold,
}


def _with_options(question: str, record: Mapping[str, Any]) -> tuple[str, str]:
    """As MMLU, ARC, CommonsenseQA and AQuA have it: options under the question, a gold letter."""
    listed = record.get("choices", record.get("options"))
    labels: Sequence[Any] = ()
    if isinstance(listed, dict):  # ARC: texts and labels side by side
        labels, listed = listed.get("label") or (), listed.get("text")
    if not isinstance(listed, list) or not 2 <= len(listed) <= len(LETTERS):
        raise Refusal(f"'choices' or 'options' are no 2 to {len(LETTERS)} texts but {kind(listed)}")
    texts = [LABEL.sub("", str(option)) for option in listed]
    given = next((record[n] for n in ("answerKey", "answer", "correct") if n in record), None)
    letter = _letter(given, labels or LETTERS, texts)
    lines = [f"{name}. {option}" for name, option in zip(LETTERS, texts, strict=False)]
    return "\n".join([question, *lines]), letter


def _letter(given: object, labels: Sequence[Any], texts: Sequence[str]) -> str:
    """The letter of a gold answer given as letter, label, position from 0, or the option's text."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(texts):
        return LETTERS[given]
    if isinstance(given, str):
        names = [str(label) for label in labels][: len(texts)]
        for known in (names, list(LETTERS[: len(texts)]), [text.strip() for text in texts]):
            if given.strip() in known:
                return LETTERS[known.index(given.strip())]
    raise Refusal(f"the gold answer {given!r} is none of the options")


def _number(text: str) -> str | None:
    """The value of a text that is a number and nothing else."""
    return normalise(text) if exact.is_number(text) else None


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise Refusal(f"'{name}' is no text but {kind(value)}")
    return value
