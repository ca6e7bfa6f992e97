"""The report of a run in its four forms, each written whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from convert.files import write_json, write_text
from convert.printing import say
from profiles import documents, tables
from profiles.report import paper_table
from profiles.report.answers import compared
from profiles.report.columns import columns, markdown_table, text_table
from profiles.report.header import UNBRANCHED, facts, subtitle, title, warnings
from profiles.report.matrix import matrix, texts
from profiles.report.page import page
from profiles.report.questions import questions
from profiles.report.rows import Row, flat_lines
from profiles.report.screen import verdicts
from profiles.report.summary import Summary, summarize


def write(folder: Path) -> Summary:
    """Render summary.json, summary.csv, report.md and index.html from a run's records.

    Raises:
        FileNotFoundError: if the folder is not one of a run.
        Refusal: if a file in it is broken, or nothing was measured yet.
    """
    summary = summarize(folder)
    forms = {
        "summary.csv": csv_text(summary.rows),
        "report.md": markdown(summary),
        "index.html": page(summary),
    }
    write_json(folder / "summary.json", summary.document())
    for name, text in forms.items():
        write_text(folder / name, text)
    return summary


def show(summary: Summary, folder: Path, *, json_wanted: bool) -> None:
    """Print summary.json's content, or the table as a terminal shows it."""
    for slug in summary.unbranched:
        say(f"profile: warning: {slug}: {UNBRANCHED}", sys.stderr)
    if json_wanted:
        say(json.dumps(summary.document(), ensure_ascii=False))
        return
    say(text_table(summary.rows))
    if summary.run.suite:
        say("\n" + tables.aligned(paper_table.table(summary.rows)))
    say(f"report: {folder / 'index.html'}", sys.stderr)


def csv_text(rows: tuple[Row, ...]) -> str:
    """One line a row, the fields of summary.json as columns; empty is null."""
    return documents.csv_text(flat_lines(rows))


def markdown(summary: Summary) -> str:
    """The page without its plots, in the same order."""
    parts = [f"# {title(summary)}", subtitle(summary)]
    parts += [f"> {warning}" for warning in warnings(summary)]
    parts.append(
        "\n".join(f"- **{verdict.about}** {verdict.text}" for verdict in verdicts(summary))
    )
    cells = texts(matrix(summary.rows, compared(summary.rows), None))
    parts += ["## % right, by method and level", tables.markdown_table(cells[0], cells[1:])]
    for question in questions(summary):
        parts += [f"## {question.asks}", question.answer]
        parts.append("\n".join(f"- {line}" for line in question.sentences))
        if question.table:
            parts.append(tables.markdown_table(question.table[0], question.table[1:], texts=2))
    if summary.run.suite:
        parts += ["## The paper's table", paper_table.markdown(summary.rows)]
    for other in summary.others:
        parts += [f"## {other.title}", other.markdown, f"    {other.header['command']}"]
    parts += ["## All rows", markdown_table(summary.rows)]
    parts.append("\n".join(f"- {c.title}: {c.meaning}" for c in columns(summary.rows)))
    listed = "\n".join(f"- {name}: {value}" for name, value in facts(summary))
    return "\n\n".join([*filter(None, parts), "## How it was measured", listed]) + "\n"
