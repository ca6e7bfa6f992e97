"""A measurement as Markdown, CSV and JSON: the same rows, whole files or none."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from convert.files import read_json, write_text
from convert.printing import plain, say
from convert.refusal import Refusal
from convert.typed import typed
from methods.outputs import check
from profiles.environment import environment
from profiles.tables import markdown_table

__all__ = [
    "Document",
    "check",
    "command_line",
    "csv_text",
    "deliver",
    "header",
    "public",
    "read_documents",
]

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet computes


@dataclass(frozen=True, slots=True)
class Document:
    """What one command measured, in every form it can be given."""

    title: str
    header: Mapping[str, Any]  # command, environment and all that a repetition needs
    rows: Sequence[Mapping[str, Any]]  # flat; units end the names
    table: Sequence[Sequence[str]]  # titles, then a line a row, as people read them
    findings: Sequence[str] = ()
    texts: int = 1  # so many columns hold text, the others numbers

    @property
    def markdown(self) -> str:
        titles, *lines = self.table
        bullets = "\n".join(f"- {sentence}" for sentence in self.findings)
        return "\n\n".join(filter(None, [markdown_table(titles, lines, self.texts), bullets]))

    def text(self, suffix: str) -> str:
        """As a file of that suffix holds it."""
        if suffix == ".json":
            return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"
        if suffix == ".csv":
            return csv_text(self.rows)
        return self.markdown + "\n"


def deliver(document: Document, paths: Sequence[Path], *, json_wanted: bool) -> None:
    """Write the files, then print the table or the JSON document."""
    for path in paths:
        write_text(path, document.text(path.suffix))
        say(f"wrote {path}", sys.stderr)
    say(document.text(".json" if json_wanted else ".md"), end="")


def read_documents(folder: Path) -> list[Document]:
    """The measurements that a folder holds as JSON, by name; other files are passed over.

    Raises:
        Refusal: if one is not JSON, or has another shape; names it.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        if content.keys() == {field.name for field in fields(Document)}:
            found.append(_document(content, path))
    return found


def _document(content: dict[str, Any], path: Path) -> Document:
    made = typed(Document, json.dumps(content).encode(), f"{path} is not a measurement")
    widths = {len(line) for line in made.table}
    if len(widths) != 1 or not isinstance(made.header.get("command"), str):
        raise Refusal(f"{path} is not a measurement: its table or its command is broken")
    return made


def header(given: Sequence[str]) -> dict[str, Any]:
    """What a repetition needs: the command, and where it ran."""
    return {"command": command_line(given), "environment": asdict(environment())}


def command_line(given: Sequence[str]) -> str:
    """The command as it was given, folders of this machine taken off its paths."""
    return plain(shlex.join(["profile", *map(public, given)]))


def public(argument: str) -> str:
    """An argument as a report may show it: of an absolute path, `self*PATH` too, only the name."""
    return re.sub(r"(^|[*=])/(.*/)?", r"\1", argument)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; empty is null, and a text that looks like a formula begins with `'`."""
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
