"""Tables of texts: as Markdown, and lined up for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table whose first `texts` columns are text and the others numbers."""
    rules = ["---" if i < texts else "---:" for i in range(len(titles))]
    lines = ["| " + " | ".join(titles) + " |", "|" + "|".join(rules) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def aligned(cells: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """Lines of cells in columns; all but the first are set to the right unless told."""
    right = right or [False] + [True] * (len(cells[0]) - 1)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )
