"""What reports call a row: its level, its method."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from methods.catalog import ProtocolName, label
from profiles.report.rows import Row

THINKING = {"off": "", "on": ", thinking", "gated": ", gated"}


def level_name(row: Row) -> str:
    """Format and level: `gguf q4_k_m`, with a KV cache of another type `gguf q4_k_m, KV q8_0`."""
    return f"{row.setup.format} {level_and_cache(row)}"


def short_level(row: Row) -> str:
    """A level without its format, which it tells: `q4_k_m`; full precision is `torch f32`."""
    return level_name(row) if row.setup.format == "torch" else level_and_cache(row)


def level_labels(rows: Sequence[Row]) -> Callable[[Row], str]:
    """What tells the levels of these rows apart: the model's file too, where one level has two."""
    models: dict[str, set[str]] = {}
    for row in rows:
        models.setdefault(short_level(row), set()).add(row.model)
    thinkers = {row.model for row in rows if row.setup.thinking != "off"}

    def label(row: Row) -> str:
        name = short_level(row)
        plain = models[name] - thinkers
        return f"{name}, {row.model}" if len(plain) > 1 and row.model in plain else name

    return label


def level_and_cache(row: Row) -> str:
    """A level with the type of its KV cache, where that is not the usual one."""
    kv_type = row.setup.kv_type
    return row.setup.level if kv_type == "f16" else f"{row.setup.level}, KV {kv_type}"


def method_name(row: Row) -> str:
    """A method as papers write it: `majority@8`, `REBASE w=8, thinking`."""
    return (
        search_name(row)
        + THINKING[row.setup.thinking]
        + (", paper protocol" if row.setup.protocol is ProtocolName.PAPER else "")
    )


def search_name(row: Row) -> str:
    """A method whether it thinks or not: `REBASE w=8`."""
    return label(row.setup.method, row.setup.width)


def row_name(row: Row) -> str:
    """`gguf q4_k_m, REBASE w=8`, with the reward model's level where it differs."""
    level = row.setup.reward_level
    reward = f" (reward {level})" if level not in (None, row.setup.level) else ""
    return f"{level_name(row)}{reward}, {method_name(row)}"
