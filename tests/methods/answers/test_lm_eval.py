"""Our readings against those of lm-evaluation-harness on 500 recorded completions.

`lm_eval.jsonl` holds completions at temperature 1 to 1.4: 400 of the reference policy at q3_k_s, a
third of them as it writes, a third rewritten to GSM8K's `#### N`, a third to `The answer is N.`;
100 of Qwen2.5-Coder-0.5B-Instruct at q4_k_m. Beside each stands what the filters of lm_eval 0.4.13
read in it: `strict` and `flexible` of gsm8k, `strict_cot` of gsm8k_cot.
"""

from __future__ import annotations

import json
from pathlib import Path

from methods.answers.reader import NUMBERS
from methods.answers.written import normalise

NONE = "[invalid]"
# (their reading, ours): two marks, of which they take the first; a fraction cut off; a mark without
# a number behind it, after one with
DIFFERENT = {"strict_cot": [("115.", "35")], "flexible": [("6", "10"), ("100", "135")]}


def test_strict_and_flexible_readings_are_lm_evals() -> None:
    path = Path(__file__).parent / "lm_eval.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 500
    found: dict[str, list[tuple[str, str | None]]] = {
        "strict": [],
        "strict_cot": [],
        "flexible": [],
    }
    counts = dict.fromkeys(found, 0)
    for line in lines:
        ours = NUMBERS.read(line["text"])
        for name, different in found.items():
            theirs = line[name]
            if theirs == NONE and name != "flexible":
                continue  # they have no mark for `The answer is: N`
            counts[name] += 1
            marked = name == "flexible" or ours.rule == "marker"
            if not marked or ours.answer != (None if theirs == NONE else normalise(theirs)):
                different.append((theirs, ours.answer))
    assert counts == {"strict": 133, "strict_cot": 133, "flexible": 500}
    assert found == {"strict": [], **DIFFERENT}
