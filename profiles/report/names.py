"""What reports call a row: its level, its method."""

from __future__ import annotations

from methods.catalog import ProtocolName, label
from profiles.report.rows import Row

THINKING = {"off": "", "on": ", thinking", "gated": ", gated"}


def level_name(row: Row) -> str:
    """Format and level: `gguf q4_k_m`."""
    return f"{row.format} {row.level}"


def method_name(row: Row) -> str:
    """A method as papers write it: `majority@8`, `REBASE w=8, thinking`."""
    return (
        search_name(row)
        + THINKING[row.thinking]
        + (", the paper's protocol" if row.protocol is ProtocolName.PAPER else "")
    )


def search_name(row: Row) -> str:
    """A method whether it thinks or not: `REBASE w=8`."""
    return label(row.method, row.width)


def row_name(row: Row) -> str:
    """`gguf q4_k_m, REBASE w=8`, with the reward model's level where it differs."""
    reward = f" (reward {row.reward_level})" if row.reward_level not in (None, row.level) else ""
    return f"{level_name(row)}{reward}, {method_name(row)}"
