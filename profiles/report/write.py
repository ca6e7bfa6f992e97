"""The report of a run in its four forms, each written whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from convert.files import write_json, write_text
from convert.printing import say
from profiles import documents, tables
from profiles.report import paper_table, recovery_sentences
from profiles.report.columns import columns, markdown_table, text_table
from profiles.report.findings import findings, thinking_sentences, trees_against_majority
from profiles.report.header import UNBRANCHED, facts, subtitle, title, warnings
from profiles.report.page import page
from profiles.report.rows import Row, flat_lines
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
    for slug in summary.header.get("unbranched", []):
        say(f"profile: warning: {slug}: {UNBRANCHED}", sys.stderr)
    if json_wanted:
        say(json.dumps(summary.document(), ensure_ascii=False))
        return
    say(text_table(summary.rows))
    if summary.header.get("suite"):
        say("\n" + tables.aligned(paper_table.table(summary.rows)))
    say(f"report: {folder / 'index.html'}", sys.stderr)


def csv_text(rows: tuple[Row, ...]) -> str:
    """One line a row, the fields of summary.json as columns; empty is null."""
    return documents.csv_text(flat_lines(rows))


def markdown(summary: Summary) -> str:
    """The report for a terminal or a repository; the plots are on the page only."""
    parts = [f"# {title(summary)}", subtitle(summary)]
    parts += [f"> {warning}" for warning in warnings(summary)]
    parts += ["## Results", markdown_table(summary.rows)]
    parts.append("\n".join(f"- {c.title}: {c.meaning}" for c in columns(summary.rows)))
    parts += ["## What it says", "\n".join(f"- {line}" for line in findings(summary))]
    if lines := trees_against_majority(summary.comparisons):
        parts += ["## Tree search against a majority vote", lines[0]]
        parts.append("\n".join(f"- {line}" for line in lines[1:]))
    if lines := recovery_sentences.sentences(summary.recoveries):
        parts += ["## What search took back", "\n".join(f"- {line}" for line in lines)]
        if taken := recovery_sentences.table(summary.recoveries):
            parts.append(tables.markdown_table(taken[0], taken[1:], texts=2))
    if effects := thinking_sentences(summary.effects):
        parts += ["## What thinking gained", "\n".join(f"- {line}" for line in effects)]
    if summary.header.get("suite"):
        parts += ["## The paper's table", paper_table.markdown(summary.rows)]
    for other in summary.others:
        parts += [f"## {other.title}", other.markdown, f"    {other.header['command']}"]
    listed = "\n".join(f"- {name}: {value}" for name, value in facts(summary))
    return "\n\n".join([*parts, "## How it was measured", listed]) + "\n"
