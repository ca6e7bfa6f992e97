"""The six systems of arXiv 2412.16260, its published figures, and its first 128 questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from methods.build import MethodSpec, paper_spec
from methods.catalog import MAJORITY, REBASE, MethodRow, ProtocolName
from runtime.options import Thinking

QUESTIONS = 128
SHUFFLE = 42
TOKENS = 384  # of a path, under both protocols
PROTOCOLS = (ProtocolName.PAPER, ProtocolName.FAIR)
METHODS = (MAJORITY.name, REBASE.name)


@dataclass(frozen=True, slots=True)
class System:
    """One row of the paper's table: 128 GSM8K questions, Mistral-7B, one A100."""

    name: str
    thinking: Thinking
    method: MethodRow
    width: int
    accuracy: float
    tflop: float  # by the paper's count
    seconds: float


SYSTEMS = (
    System("baseline, 6 votes", "off", MAJORITY, 6, 0.1016, 11.22, 52.47),
    System("Quiet-STaR, 6 votes", "on", MAJORITY, 6, 0.3203, 12.73, 554.66),
    System("REBASE w=3", "off", REBASE, 3, 0.1094, 2.35, 8.47),
    System("REBASE w=6", "off", REBASE, 6, 0.1016, 4.96, 17.82),
    System("REBASE w=16", "off", REBASE, 16, 0.1250, 13.57, 46.90),
    System("REBASE + Quiet-STaR, w=6", "on", REBASE, 6, 0.0938, 4.25, 143.66),
)


def cells(spec: MethodSpec) -> Iterator[tuple[Thinking, MethodSpec]]:
    """Every system under both protocols; `spec` is what the fair one adds."""
    for protocol in PROTOCOLS:
        for system in SYSTEMS:
            search, rule = system.method.search.name, system.method.selection
            if protocol is ProtocolName.PAPER:
                yield system.thinking, paper_spec(search, system.width)
            else:
                fair = replace(spec, search=search, width=system.width, max_tokens=TOKENS)
                yield system.thinking, replace(fair, selection=rule)
