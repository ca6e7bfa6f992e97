"""A measurement as Markdown, CSV and JSON: the same rows, whole files or none."""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from convert.files import read_json, refuse_overwrite, whole


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
            return _csv(self.rows)
        return self.markdown + "\n"


def check(paths: Sequence[Path], *, force: bool) -> None:
    """Refuse before the work what could not be written after it.

    Raises:
        FileExistsError: if a file exists and `force` is off.
        FileNotFoundError: if a folder is missing.
    """
    refuse_overwrite(list(paths), force=force)
    for path in paths:
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is not a folder; make it first")


def deliver(document: Document, paths: Sequence[Path], *, json_wanted: bool) -> None:
    """Write the files, then print the table or the JSON document."""
    for path in paths:
        with whole(path) as part:
            part.write_text(document.text(path.suffix), encoding="utf-8")
        print(f"wrote {path}", file=sys.stderr)
    print(document.text(".json" if json_wanted else ".md"), end="")


def read_documents(folder: Path) -> list[Document]:
    """The measurements that a folder holds as JSON, by name; other files are passed over.

    Raises:
        Refusal: if one is not JSON; names it.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        if content.keys() == {field.name for field in fields(Document)}:
            found.append(Document(**content))
    return found


def command_line(given: Sequence[str]) -> str:
    """The command as it was given, folders of this machine taken off its paths."""
    return shlex.join(["profile", *(Path(a).name if Path(a).is_absolute() else a for a in given)])


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table whose first `texts` columns are text and the others numbers."""
    rules = ["---" if i < texts else "---:" for i in range(len(titles))]
    lines = ["| " + " | ".join(titles) + " |", "|" + "|".join(rules) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
