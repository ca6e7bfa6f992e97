"""`profile tree`: a saved search as a page to look at."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convert.refusal import Refusal

if TYPE_CHECKING:
    from profiles.tree.nodes import Tree

EPILOG = """\
examples:
  solve --method rebase --width 16 --tree search.json "Mia bakes 6 trays of 8 rolls ..."
  profile tree search.json
  profile tree report/records/policy-gguf-q2_k-rebase-8.trees.jsonl --question 17
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    p = commands.add_parser(
        "tree",
        help="show a search that solve --tree wrote as one page",
        description="A saved search as one self-contained page: the map of its tree, the votes, "
        "every step with its score.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "file", type=Path, metavar="FILE", help="what solve --tree wrote, or a run's .trees.jsonl"
    )
    p.add_argument("--question", metavar="ID", help="which one of a run's trees")
    p.add_argument(
        "-o", "--output", type=Path, metavar="PAGE", help="default: FILE with .html at its end"
    )
    p.add_argument("--force", action="store_true", help="overwrite PAGE")
    p.set_defaults(body=run)


def run(options: argparse.Namespace, _given: Sequence[str]) -> None:
    """Write the page, whole or not at all, and print its path.

    Raises:
        FileNotFoundError: if there is no such file.
        FileExistsError: if the page exists and `--force` is off.
        Refusal: if the file holds no such search, or would be overwritten by its page.
    """
    from convert.files import write_text
    from convert.printing import say
    from methods.outputs import check
    from profiles.tree.page import page

    out: Path = options.output or options.file.with_suffix(".html")
    if out.resolve() == options.file.resolve():
        raise Refusal(f"{out} would overwrite the search; choose another --output")
    tree = _tree(options.file, options.question)
    check([out], force=options.force)
    write_text(out, page(tree))
    say(str(out))


def _tree(path: Path, question: str | None) -> Tree:
    from profiles.tree.nodes import read_tree
    from profiles.tree.stored_trees import read_stored_tree, stored_questions

    if path.suffix != ".jsonl" or not path.exists():
        if question:
            raise Refusal(f"--question {question}: {path} holds one search; leave it out")
        return read_tree(path)
    tree = read_stored_tree(path, question) if question else None
    if tree is None:
        known = stored_questions(path)
        raise Refusal(
            f"{path} holds {len(known)} questions, {known[0]} to {known[-1]}; "
            f"{f'{question} is none of them' if question else 'name one with --question'}"
        )
    return tree
