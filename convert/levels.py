"""Every quantization level of llama.cpp, by its own name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convert.refusal import Refusal


class UnknownLevel(Refusal):
    """A name that is no level; the message lists the choices."""


@dataclass(frozen=True, slots=True)
class Level:
    """A level: llama.cpp's file type, and what its makers say of it.

    `bits` are per weight on Llama-3-8B or by the block format. `loss` is the increase in perplexity
    that llama-quantize prints (Llama-3-8B; f16 and bf16: Mistral-7B), None where it prints none.
    """

    name: str
    ftype: int
    bits: float
    loss: float | None = None
    needs_imatrix: bool = False

    suffix: ClassVar[str] = ".gguf"
    title: ClassVar[str] = "perplexity, stated by llama.cpp for Llama-3-8B (f16, bf16: Mistral-7B)"

    @property
    def note(self) -> str:
        """The stated loss and what the level needs, for `--list`."""
        loss = f"{self.loss:+.4f}" if self.loss is not None else "not stated"
        return loss + (", needs an importance matrix" if self.needs_imatrix else "")


LEVELS: dict[str, Level] = {
    level.name: level
    for level in (
        Level("f32", 0, 32.0),
        Level("bf16", 32, 16.0, -0.0050),
        Level("f16", 1, 16.0, 0.0020),
        Level("q8_0", 7, 8.5, 0.0026),
        Level("q6_k", 18, 6.56, 0.0217),
        Level("q5_k_m", 17, 5.70, 0.0569),
        Level("q5_k_s", 16, 5.57, 0.1049),
        Level("q5_1", 9, 6.04, 0.1062),
        Level("q5_0", 8, 5.57, 0.1316),
        Level("q4_k_m", 15, 4.89, 0.1754),
        Level("q4_k_s", 14, 4.67, 0.2689),
        Level("q4_1", 3, 5.11, 0.4511),
        Level("q4_0", 2, 4.64, 0.4685),
        Level("iq4_nl", 25, 4.50),
        Level("iq4_xs", 30, 4.25),
        Level("q3_k_l", 13, 4.31, 0.5562),
        Level("q3_k_m", 12, 4.00, 0.6569),
        Level("q3_k_s", 11, 3.64, 1.6321),
        Level("iq3_m", 27, 3.66),
        Level("iq3_s", 26, 3.44),
        Level("iq3_xs", 22, 3.30, needs_imatrix=True),
        Level("iq3_xxs", 23, 3.06, needs_imatrix=True),
        Level("q2_k", 10, 3.16, 3.5199),
        Level("q2_k_s", 21, 3.16, 3.1836, needs_imatrix=True),
        Level("iq2_m", 29, 2.70, needs_imatrix=True),
        Level("iq2_s", 28, 2.50, needs_imatrix=True),
        Level("iq2_xs", 20, 2.31, needs_imatrix=True),
        Level("iq2_xxs", 19, 2.06, needs_imatrix=True),
        Level("iq1_m", 31, 1.75, needs_imatrix=True),
        Level("iq1_s", 24, 1.56, needs_imatrix=True),
        Level("q2_0", 41, 2.25),
        Level("tq2_0", 37, 2.06),
        Level("tq1_0", 36, 1.69),
        Level("q1_0", 40, 1.125),
    )
}
ALIASES = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m", "fp32": "f32", "fp16": "f16"}
UNQUANTIZED = ("f32", "f16", "bf16")


def parse_level(name: str) -> Level:
    """The level of a name or alias, in any case, with `-` for `_`.

    Raises:
        UnknownLevel: for any other name.
    """
    plain = name.lower().replace("-", "_")
    level = LEVELS.get(ALIASES.get(plain, plain))
    if level is None:
        raise UnknownLevel(f"unknown level {name!r} for gguf; choose {', '.join(LEVELS)}")
    return level
