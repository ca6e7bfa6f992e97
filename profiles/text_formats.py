"""Numbers, intervals and lists as people read them. Units change only here."""

from __future__ import annotations

from collections.abc import Sequence

from convert.units import GIB

NONE = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """A share: `73.0`."""
    return NONE if value is None else f"{100 * value:.{digits}f}"


def points(value: float | None) -> str:
    """A difference of shares with its sign, in percentage points: `−4.0`."""
    return NONE if value is None else signed(100 * value)


def signed(value: float, digits: int = 1) -> str:
    """A number with a sign; a typographic minus; zero without one."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("−" if value < 0 else "+") + text


def significant(value: float | None, digits: int = 3) -> str:
    """A number with so many digits that count, no exponent."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text or abs(value) >= 10**digits else text


def size(size_bytes: float | None) -> str:
    """Bytes in the binary unit that fits."""
    if size_bytes is None:
        return NONE
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    value = size_bytes / 1024
    for unit in ("KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:#.3g} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def gib(size_bytes: float, digits: int | None = None) -> str:
    """Bytes in GiB, as few digits as they need or so many decimals: `12 GiB`, `31.2 GiB`."""
    value = size_bytes / GIB
    return f"{value:g} GiB" if digits is None else f"{value:.{digits}f} GiB"


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds."""
    return NONE if seconds is None else significant(1000 * seconds)


def p_value(p: float | None) -> str:
    """A p-value to three decimals."""
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def chance(p: float | None) -> str:
    """`p = 0.031` or `p < 0.001`."""
    text = p_value(p)
    return f"p {text[0]} {text[1:]}" if text.startswith("<") else f"p = {text}"


def with_interval(value: str, low: float | None, high: float | None, *, sign: bool) -> str:
    """`73.0 [63.6, 80.7]`."""
    if low is None or high is None:
        return value
    show = points if sign else percent
    return f"{value} [{show(low)}, {show(high)}]"


def listed(items: Sequence[str]) -> str:
    """`f16, q8_0 and q4_k_m`."""
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
