"""The trees of a run: one JSON line a question, as `solve --tree` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.files import regular
from convert.refusal import Refusal
from profiles.stored_json import load
from profiles.tree.nodes import Tree, parse_tree


def trees_path(records: Path) -> Path:
    """Where the searches of a configuration go, beside its records."""
    return records.with_suffix(".trees.jsonl")


def tree_line(question_id: str, document: dict[str, Any]) -> str:
    """One question's search as a line of such a file."""
    return json.dumps({"id": question_id} | document, ensure_ascii=False) + "\n"


def read_stored_tree(path: Path, question_id: str) -> Tree | None:
    """The search of one question; None where there is none.

    A question that was interrupted has several lines; the last one belongs to its record.

    Raises:
        Refusal: if a line is broken; names it.
    """
    if not path.exists():
        return None
    mark = json.dumps(question_id).encode()
    found: Tree | None = None
    for number, line in enumerate(regular(path).read_bytes().split(b"\n")[:-1], 1):
        if line.startswith(b'{"id": ' + mark):
            found = parse_tree(line, f"{path} line {number}")
    return found


def stored_questions(path: Path) -> list[str]:
    """The questions whose searches a file holds, in its order.

    Raises:
        Refusal: if it holds none, or a line is broken; names it.
    """
    lines = regular(path).read_bytes().split(b"\n")[:-1]
    found = [
        load(line, f"{path} line {number}", "a search").get("id")
        for number, line in enumerate(lines, 1)
    ]
    if not found or None in found:
        raise Refusal(f"{path} holds no searches; give a file that profile run wrote")
    return list(dict.fromkeys(map(str, found)))
