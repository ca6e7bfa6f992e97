"""The kinds of answers that are read and compared."""

from __future__ import annotations

from typing import Literal, get_args

TaskName = Literal["gsm8k", "math", "choice", "exact"]

TASKS: tuple[TaskName, ...] = get_args(TaskName)
WANTED: dict[TaskName, str] = {  # as a chat is told
    "gsm8k": "a number",
    "math": "the answer in LaTeX",
    "choice": "the letter of the right choice",
    "exact": "the answer alone",
}
ANSWER_TOKENS: dict[TaskName, int] = {"gsm8k": 16, "math": 64, "choice": 16, "exact": 32}
HELP = "answers are numbers, formulas (MATH), letters A to E, or texts"
