"""The report of a simulated run in its four forms."""

from __future__ import annotations

import csv
import html
import json
import re
from dataclasses import replace
from pathlib import Path

from profiles.documents import Document
from profiles.report.columns import accuracy_cell
from profiles.report.names import method_name
from profiles.report.over_levels import Point, over_levels
from profiles.report.plots import pareto
from profiles.report.summary import summarize
from profiles.report.write import write
from profiles.text_formats import signed, significant, size

ISSUE_KEYS = [
    "format",
    "level",
    "method",
    "thinking",
    "width",
    "n",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "delta_accuracy",
    "delta_low",
    "delta_high",
    "mcnemar_p",
    "latency_p50_s",
    "decode_tok_per_s",
    "peak_rss_bytes",
    "model_bytes",
    "flops_per_question",
]


def test_json_and_csv_hold_every_row_with_the_promised_keys(run_folder: Path) -> None:
    write(run_folder)
    document = json.loads((run_folder / "summary.json").read_text())
    assert len(document["rows"]) == 6 * (1 + 3 + 3)
    assert all(set(ISSUE_KEYS) <= set(row) for row in document["rows"])
    assert {row["thinking"] for row in document["rows"]} == {"off"}
    with (run_folder / "summary.csv").open() as lines:
        table = list(csv.DictReader(lines))
    assert [row["method"] for row in table] == [row["method"] for row in document["rows"]]
    assert float(table[8]["accuracy"]) == document["rows"][8]["accuracy"]


def test_page_and_markdown_hold_every_row(run_folder: Path) -> None:
    summary = write(run_folder)
    page = html.unescape((run_folder / "index.html").read_text())
    markdown = re.sub(" +", " ", (run_folder / "report.md").read_text())
    for row in summary.rows:
        assert accuracy_cell(row) in page
        assert method_name(row) in page
        assert (
            f"| {row.setup.level} | {method_name(row)} | {row.n} | {accuracy_cell(row)} |"
            in markdown
        )
    body = page[page.index('<table class="main rows">') : page.index('id="flips"')]
    assert body.count("<tr") == 2 + len(summary.rows)


def test_the_page_loads_nothing_and_escapes_what_models_and_data_say(run_folder: Path) -> None:
    write(run_folder)
    page = (run_folder / "index.html").read_text()
    assert "&lt;b&gt;pens&lt;/b&gt; &amp; buys" in page
    assert "<b>pens" not in page
    assert not re.search(r"<(?:script\s|link|img|iframe)|@import|url\((?!#)", page)
    assert "#0303" not in page  # every stand-in colour became the page's
    assert "var(--c1)" in page


def test_rendering_again_changes_nothing(run_folder: Path) -> None:
    write(run_folder)
    names = ("index.html", "report.md", "summary.csv", "summary.json")
    before = [(run_folder / name).read_bytes() for name in names]
    write(run_folder)
    assert [(run_folder / name).read_bytes() for name in names] == before
    assert not list(run_folder.glob("*.part"))


def test_flips_are_those_of_the_rows(run_folder: Path) -> None:
    summary = summarize(run_folder)
    for row, flips in zip(summary.rows, summary.flips, strict=True):
        lost, won = (row.change.flips_lost, row.change.flips_won) if row.change else (0, 0)
        assert sum(flip.lost for flip in flips) == lost
        assert sum(not flip.lost for flip in flips) == won


def test_what_other_commands_wrote_into_the_folder_is_shown(run_folder: Path) -> None:
    other = Document(
        "Fidelity <to> full precision",
        {"command": "profile fidelity -o report/fidelity.json"},
        [{"level": "q2_k", "kl_mean_nats": 0.5}],
        [("level", "KL"), ("q2_k", "0.500")],
        ["q2_k: detected."],
    )
    (run_folder / "fidelity.json").write_text(other.text(".json"))
    (run_folder / "notes.json").write_text('{"title": "mine"}')
    write(run_folder)
    write(run_folder)  # its own summary.json is not one
    page = (run_folder / "index.html").read_text()
    assert page.count("Fidelity &lt;to&gt; full precision</h2>") == 1
    assert '<td class="">q2_k</td><td class="n">0.500</td>' in page
    assert "<li>q2_k: detected.</li>" in page
    markdown = (run_folder / "report.md").read_text()
    lines = markdown[markdown.index("## Fidelity <to> full precision") :].splitlines()
    assert [re.split(" *[|] *", line) for line in lines[2:5]] == [
        ["", "level", "KL", ""],
        ["", ":--------", "------:", ""],
        ["", "q2_k", "0.500", ""],
    ]
    assert "    profile fidelity -o report/fidelity.json" in markdown


def test_pareto_keeps_what_nothing_cheaper_beats() -> None:
    points = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.8), (3.0, 0.9), (4.0, 0.9)]
    assert pareto(points) == [0, 3]
    assert pareto([]) == []


def test_a_method_keeps_its_colour_where_it_thinks_and_from_plot_to_plot(run_folder: Path) -> None:
    """There are eight colours; a thinking row differs by its dashes and its hollow marker."""
    greedy = [row for row in summarize(run_folder).rows if row.setup.method == "greedy"]
    gated = [replace(row, setup=replace(row.setup, thinking="gated")) for row in greedy]
    colours = ("majority@8", "greedy")
    plain = over_levels([Point(row, row.accuracy) for row in greedy], colours, "% right")
    both = over_levels([Point(row, row.accuracy) for row in greedy + gated], colours, "% right")
    assert "var(--c2)" in plain
    assert "var(--c1)" not in both
    assert "stroke-dasharray: 8" in both
    assert "stroke-dasharray: 8" not in plain
    assert ">gated<" in both
    assert ">gated<" not in plain


def test_numbers_as_people_read_them() -> None:
    assert [significant(x) for x in (0.01234, 12.34, 1234.5, 1e9, 0)] == [
        "0.0123",
        "12.3",
        "1230",
        "1000000000",
        "0",
    ]
    assert [signed(x) for x in (-4.04, 0.01, 2.0)] == ["−4.0", "0.0", "+2.0"]
    assert [size(x) for x in (10, 4.4e6, 4.1e9)] == ["10 B", "4.20 MiB", "3.82 GiB"]
