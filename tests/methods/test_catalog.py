"""The table of methods: the only place where their names stand."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

from methods import catalog
from methods.build import Builder, MethodSpec, build, paper_spec
from methods.catalog import METHODS, SELECTIONS
from runtime.scripted_engine import ScriptedEngine

ROOT = Path(__file__).parents[2]


def literals() -> Iterator[tuple[str, str]]:
    """Every text in the code, docstrings included, with where it stands."""
    for package in ("convert", "runtime", "methods", "profiles"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def test_no_name_of_a_method_is_a_literal_anywhere_else() -> None:
    names = {name for row in METHODS.values() for name in (row.name, row.search.name)}
    names |= {
        catalog.shown_name(row.search.name, s) for row in METHODS.values() for s in row.selections
    }
    found = [where for where, text in literals() if text in names | set(SELECTIONS)]
    assert [where for where in found if not where.startswith("methods/catalog.py:")] == []
    assert len(found) > 10  # those of the table itself


def test_every_row_names_a_builder() -> None:
    wanted = len(inspect.signature(Builder.__call__).parameters) - 1
    for row in METHODS.values():
        forms = [row.search.builder, *([row.search.paper.builder] if row.search.paper else [])]
        for form in forms:
            inspect.signature(resolve_name(form)).bind(*range(wanted))


def test_names_and_labels_of_rows() -> None:
    shown = {
        catalog.shown_name(row.search.name, s): None for row in METHODS.values() for s in
        row.selections
    }  # fmt: skip
    assert {name: catalog.label(name, 8) for name in shown} == {
        "greedy": "greedy",
        "majority": "majority@8",
        "best-of-n": "best-of-8",
        "weighted": "weighted@8",
        "rebase": "REBASE w=8",
        "rebase-majority": "REBASE w=8, majority",
        "rebase-best": "REBASE w=8, best",
        "adaptive": "adaptive@8",
        "beam": "beam n=8",
        "beam-majority": "beam n=8, majority",
        "beam-best": "beam n=8, best",
        "dvts": "DVTS n=8",
        "dvts-majority": "DVTS n=8, majority",
        "dvts-best": "DVTS n=8, best",
        "particle": "particles n=8",
        "particle-weighted": "particles n=8, weighted",
        "particle-majority": "particles n=8, majority",
        "dora": "DORA w=8",
        "dora-majority": "DORA w=8, majority",
        "dora-best": "DORA w=8, best",
        "ets": "ETS w=8",
        "ets-majority": "ETS w=8, majority",
        "ets-best": "ETS w=8, best",
    }


def test_what_a_run_serves_and_needs() -> None:
    assert catalog.selections_of("sample") == ("majority", "best-of-n", "weighted")
    assert catalog.selections_of("rebase") == ("weighted", "majority", "best-of-n")
    assert catalog.without_reward() == ["greedy", "majority", "adaptive"]
    assert catalog.standard() == ["greedy", "majority", "best-of-n", "weighted", "rebase"]
    assert [row.name for row in METHODS.values() if row.in_paper] == ["majority", "rebase"]
    own = ("--confidence", "--wave", "--beam-width", "--similarity", "--node-price")
    own += ("--cluster-worth",)
    assert catalog.unread(["majority"]) == ("--step-tokens", "--balance", "--allocation", *own)
    assert catalog.unread(["greedy", "rebase"]) == own
    assert (catalog.ONE_PATH.paths(8), catalog.SAMPLES.paths(8)) == (1, 8)
    assert (catalog.ONE_PATH.branches(8), catalog.REBASE_TREE.branches(8)) == (4, 18)


def test_what_there_is_not_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="unknown search 'mcts'; choose greedy, sample, rebase, "):
        MethodSpec("mcts")
    with pytest.raises(ValueError, match=r"no greedy$"):
        paper_spec("greedy", 1)
    with pytest.raises(ValueError, match="no weighted; choose majority or rebase"):
        catalog.in_paper(["majority", "weighted"])
    for spec, what in ((MethodSpec("rebase"), "rebase"), (MethodSpec("sample"), "weighted")):
        with pytest.raises(ValueError, match=f"^{what} needs .* majority or adaptive$"):
            build(spec, ScriptedEngine({}), None)
