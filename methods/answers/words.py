"""Numbers in English words, where nothing but one and a unit is said."""

from __future__ import annotations

import re

TEXT = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
"""
VALUES = dict(zip(TEXT.split(), [*range(20), *range(20, 100, 10)], strict=True))
SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
WORD = "|".join([*VALUES, *SCALES])
SPELLED = re.compile(
    rf"(?:(?:minus|negative) )?(?:{WORD})\b(?:(?:-| and | )(?:{WORD})\b)*(?=(?: [a-z]+)?[ .!]*$)",
    re.IGNORECASE,
)


def spelled(line: str) -> str | None:
    """The value of a line like `twenty-four` or `one hundred and two eggs.`; None for others."""
    found = SPELLED.match(line)
    if found is None:
        return None
    words = re.split(r"[- ]", found[0].lower())
    total = part = 0
    for word in words:
        if word in VALUES:
            part += VALUES[word]
        elif word == "hundred":
            part = max(part, 1) * SCALES[word]
        elif word in SCALES:
            total, part = total + max(part, 1) * SCALES[word], 0
    sign = "-" if words[0] in ("minus", "negative") and total + part else ""
    return f"{sign}{total + part}"
