"""The kinds of answers that are read and compared."""

from __future__ import annotations

from typing import Literal, get_args

TaskName = Literal["gsm8k", "math", "choice", "exact"]

TASKS: tuple[TaskName, ...] = get_args(TaskName)
HELP = "answers are numbers, formulas (MATH), letters A to E, or texts"
