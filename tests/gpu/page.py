"""What tests/gpu/run.sh found, put into docs/gpu.md between two marks.

    python tests/gpu/page.py FOLDER docs/gpu.md

FOLDER holds steps.tsv (name, seconds, exit code) and one NAME.md or NAME.log a step.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from profiles.environment import environment

BEGIN, END = "<!-- tests/gpu/run.sh -->", "<!-- end of tests/gpu/run.sh -->"
SECTIONS = {  # of a step: its title, and what its figures mean
    "tests": ("Tests on the card", "The end of what pytest says of the tests marked `gpu`."),
    "rebase": (
        "REBASE with two random models of one shape",
        "Seconds a question, the median; in brackets the tokens that both models read and wrote. "
        "Planned and held is memory of the card. Random models write every path to its limit; how "
        "many tokens a trained one writes is another matter, so the seconds beside the paper's say "
        "how fast the work is done, not that a search is so many times faster.",
    ),
    "latency": (
        "Speed of one model",
        "A random one of the shape that it is named after; `x8` are eight branches in a call. What "
        "the ceilings are is told below the table.",
    ),
    "parallel": (
        "Many questions at once",
        "The same model, greedy. `ratio`: so many times the questions a minute of one at a time.",
    ),
    "onnx": ("ONNX", "The reference policy by ONNX Runtime; columns as above."),
}
LAST = 12  # lines of a log that are shown


def sections(folder: Path) -> str:
    """The tables of all steps, and how long each took."""
    steps = [line.split("\t") for line in (folder / "steps.tsv").read_text().splitlines()]
    found = environment()
    cards = ", ".join(f"{card.name}, driver {card.driver}" for card in found.gpus)
    where = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        cards or "no card: a rehearsal, no figure of a card",
        f"{found.cpu}, {found.cores} cores",
        *([f"commit {found.commit}"] if found.commit else []),
    ]
    parts = [", ".join(where) + ".", "| step | seconds | ended |\n|---|---:|---|"]
    ended = {"0": "well", "124": "out of time"}
    parts[-1] += "".join(f"\n| {n} | {s} | {ended.get(c, f'exit code {c}')} |" for n, s, c in steps)
    for name, _, _ in steps:
        if name in SECTIONS:
            title, meaning = SECTIONS[name]
            parts += [f"### {title}", meaning, _text(folder, name)]
    return "\n\n".join(parts)


def _text(folder: Path, name: str) -> str:
    """A step's own page, else the end of what it printed; a table as it is."""
    page = folder / f"{name}.md"
    if page.exists():
        return page.read_text(encoding="utf-8").strip()
    lines = (folder / f"{name}.log").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    if table:
        return "\n".join(table)
    return "\n".join(f"    {line}" for line in lines[-LAST:]) or "Nothing was printed."


def main(arguments: Sequence[str]) -> None:
    """Replace what stands between the marks.

    Raises:
        ValueError: if the page lacks them.
    """
    folder, page = map(Path, arguments)
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    text = f"{before}{BEGIN}\n\n{sections(folder)}\n\n{END}{after}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
