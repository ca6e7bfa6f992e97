"""The trees of a run: one JSON line a question, as `solve --tree` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.refusal import Refusal
from profiles.tree import Tree, tree_of


def searches_path(records: Path) -> Path:
    """Where the searches of a configuration go, beside its records."""
    return records.with_suffix(".trees.jsonl")


def search_line(question_id: str, document: dict[str, Any]) -> str:
    """One question's search as a line of such a file."""
    return json.dumps({"id": question_id} | document, ensure_ascii=False) + "\n"


def read_search(path: Path, question_id: str) -> Tree | None:
    """The search of one question; None where there is none.

    A question that was interrupted has several lines; the last one belongs to its record.

    Raises:
        Refusal: if a line is broken; names it.
    """
    if not path.exists():
        return None
    mark = json.dumps(question_id).encode()
    found: Tree | None = None
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        if not line.startswith(b'{"id": ' + mark):
            continue
        try:
            found = tree_of(json.loads(line))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Refusal(f"{path} line {number} is not a search: {error}") from error
    return found


def searched(path: Path) -> list[str]:
    """The questions whose searches a file holds, in its order."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return list(dict.fromkeys(str(json.loads(line)["id"]) for line in lines))
