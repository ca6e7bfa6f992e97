"""Compares mathematical answers in a process that may be killed: `methods.answers.latex` starts it.

`python -m methods.answers.math_child CPU_S MEMORY_BYTES` answers every JSON line of standard input,
a pair of LaTeX texts, with `true` or `false` on standard output.
"""

from __future__ import annotations

import json
import logging
import sys
from functools import lru_cache
from typing import Any

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from runtime.limits import limit_memory, limit_time

TARGETS = (LatexExtractionConfig(), ExprExtractionConfig())


def equal(one: str, other: str) -> bool:
    """Whether two answers are one value, whichever of them is taken for the gold one."""
    parsed, others = read(one), read(other)
    return any(
        verify(gold, target, timeout_seconds=None)
        for gold, target in ((parsed, others), (others, parsed))
    )


@lru_cache(maxsize=256)
def read(answer: str) -> Any:
    """What math-verify makes of an answer that stands alone."""
    return parse(f"${answer}$", TARGETS, parsing_timeout=None)


def main(cpu_s: float, memory_bytes: int) -> None:
    """Serve until standard input ends."""
    logging.disable()  # it warns that the limits are ours
    limit_memory(memory_bytes)
    print("ready", flush=True)
    for line in sys.stdin:
        limit_time(cpu_s)
        try:
            reply = equal(*json.loads(line))
        except Exception:  # whatever a text does to the parser, it is no equal
            reply = False
        limit_time(0)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
