"""What a decoder may be: sizes and constants of a config.json or a GGUF, within reason.

A value outside hangs a reader, ends llama.cpp, or answers nonsense.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from convert.refusal import Refusal

Limits = tuple[int, int]
Range = tuple[float, float]

LAYERS: Limits = (1, 512)  # llama.cpp has room for no more
HIDDEN: Limits = (1, 1 << 17)
HEADS: Limits = (1, 1 << 12)
HEAD_DIM: Limits = (2, 1 << 12)
FEED_FORWARD: Limits = (1, 1 << 21)
VOCAB: Limits = (1, 1 << 22)
CONTEXT: Limits = (1, (1 << 31) - 1)
EPSILON: Range = (0.0, 0.1)
ROPE_BASE: Range = (2.0, 1e12)
FACTOR: Range = (1e-3, 1e6)  # of anything that scales positions or attention
SHOWN = 60  # characters of a bad value


def integer(path: Path, key: str, value: Any, limits: Limits) -> int:
    """The value, if it is a whole number within limits; a Refusal that names all of it if not."""
    least, most = limits
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Refusal(
            f"{path} gives {key} {shown(value)}; choose a whole number from {least} to {most}"
        )
    return value


def number(path: Path, key: str, value: Any, limits: Range) -> float:
    """The value, if it is a finite number within limits; a Refusal that names all of it if not."""
    low, high = limits
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not low <= value <= high:  # NaN is in no range
        raise Refusal(f"{path} gives {key} {shown(value)}; choose a number from {low} to {high:g}")
    return float(value)


def finite(path: Path, key: str, value: Any) -> None:
    """Refuse a number, or a list that holds one, that is not finite."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, float) and not math.isfinite(each):
            raise Refusal(f"{path} gives {key} {each}; choose a finite number")


def text(path: Path, key: str, value: Any) -> str:
    """The value, if it is a text that UTF-8 can hold; a Refusal if not."""
    if not isinstance(value, str):
        raise Refusal(f"{path} gives {key} {shown(value)}; choose a text")
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        raise Refusal(f"{path} gives {key} {shown(value)}; choose valid Unicode") from None
    return value


def even(path: Path, key: str, value: int) -> int:
    """The value, if it is even, as rotary positions need it; a Refusal if not."""
    if value % 2:
        raise Refusal(f"{path} gives {key} {value}; choose an even number: positions turn pairs")
    return value


def divides(path: Path, heads: int, kv_heads: int) -> None:
    """Refuse query heads that cannot be shared out over key-value heads."""
    if heads % kv_heads:
        raise Refusal(
            f"{path} gives {heads} heads and {kv_heads} key-value heads; choose a divisor of the "
            "heads"
        )


def file_name(path: Path, key: str, value: Any) -> str:
    """The value, if it names a file beside another one and leads nowhere else."""
    name = text(path, key, value)
    if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
        raise Refusal(f"{path} gives {key} {shown(name)}; choose the name of a file beside it")
    return name


def shown(value: Any) -> str:
    """A value as an error names it, on one line and not without end."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
