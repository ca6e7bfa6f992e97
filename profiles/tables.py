"""Tables of texts: as Markdown, and lined up for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table whose first `texts` columns are text and the others numbers."""
    return _table(rows, titles, "pipe", [i >= texts for i in range(len(titles))])


def aligned(cells: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """Lines of cells in columns; all but the first are set to the right unless told."""
    return _table(cells, (), "plain", right or [i > 0 for i in range(len(cells[0]))])


def _table(
    rows: Sequence[Sequence[str]], titles: Sequence[str], form: str, right: Sequence[bool]
) -> str:
    from tabulate import tabulate

    sides = ["right" if to_right else "left" for to_right in right]
    return tabulate(rows, titles, form, colalign=sides, disable_numparse=True)
