"""The tree viewer: what a saved search shows, and that a browser shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from profiles.cli import main
from profiles.tree.nodes import Node, Tree, read_tree
from profiles.tree.page import draw, fate, page
from profiles.tree.stored_trees import read_stored_tree, tree_line
from tests.profiles.browser import probe, screenshot

USAGE = {"prefill_tokens": 30, "decode_tokens": 200, "calls": 40}


def step(text: str, finish: str = "stop") -> dict[str, Any]:
    return {"text": text, "tokens": len(text.split()), "logprob": -1.0, "finish": finish}


def candidate(branch: int, parent: int, score: float, text: str, done: bool) -> dict[str, Any]:
    made = {"branch": branch, "parent": parent, "score": score, "finished": done}
    return {**made, **step(text)}


def leaf(
    branch: int, answer: str | None, scores: list[float], *texts: str, done: bool = True
) -> Any:
    return {
        "branch": branch,
        "answer": answer,
        "rule": "marker",
        "finished": done,
        "score": scores[-1] if scores else None,
        "scores": scores,
        "steps": [step(text) for text in texts],
    }


SEARCH: dict[str, Any] = {
    "question": "Ann has 2 <b>pens</b> & buys 3 more. How many?",
    "levels": [
        {
            "depth": 1,
            "budget": 4,
            "widths": [4],
            "candidates": [
                candidate(1, 0, 0.2, "Step 1: 2 + 3 = 6", False),
                candidate(2, 0, 0.9, "Step 1: 2 + 3 = 5", False),
                candidate(3, 0, 0.8, "The answer is: 5", True),
                candidate(4, 0, 0.1, "<script>alert(1)</script>", False),
            ],
        },
        {
            "depth": 2,
            "budget": 3,
            "widths": [1, 2, 0],
            "candidates": [
                candidate(5, 1, 0.3, "The answer is: 6", True),
                candidate(6, 2, 0.95, "The answer is: 5", True),
                candidate(7, 2, 0.4, "and so on", False),
            ],
        },
    ],
    "answer": "5",
    "selection": "weighted",
    "candidates": [
        leaf(3, "5", [0.8], "The answer is: 5"),
        leaf(5, "6", [0.2, 0.3], "Step 1: 2 + 3 = 6", "The answer is: 6"),
        leaf(6, "5", [0.9, 0.95], "Step 1: 2 + 3 = 5", "The answer is: 5"),
        leaf(
            7, None, [0.9, 0.4, 0.4], "Step 1: 2 + 3 = 5", "and so on", " The answer is: many",
            done=False,
        ),
    ],
    "usage": USAGE,
    "scorer_usage": {**USAGE, "prefill_tokens": 90},
    "latency_s": 1.5,
    "scorer_s": 0.3,
    "ttft_s": 0.1,
    "dropped": 1,
}  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "search.json"
    path.write_text(json.dumps(SEARCH))
    return path


@pytest.fixture
def wide(reference: Callable[[str, str], Path], tmp_path: Path) -> Path:
    """A real search of width 16 over several levels."""
    from methods.cli import main as solve

    path = tmp_path / "wide.json"
    models = [
        "--policy",
        str(reference("policy", "q8_0")),
        "--reward",
        str(reference("reward", "q8_0")),
    ]
    question = "A farm has 3 barns with 24 cows each and sells 17. Then 9 goats come. How many now?"
    options = ["--width", "16", "--temperature", "1.3", "--seed", "3", "--device", "cpu"]
    assert solve([question, *models, *options, "--context", "2048", "--tree", str(path)]) == 0
    return path


def nodes(tree: Tree) -> dict[int, Node]:
    return {node.id: node for stage in tree.stages for node in stage.nodes}


def test_every_step_has_its_fate(saved: Path) -> None:
    found = nodes(read_tree(saved))
    assert {i: fate(node) for i, node in found.items()} == {
        1: "1 child",
        2: "2 children",
        3: "finished, answer 5",
        4: "pruned",
        5: "finished, answer 6",
        6: "finished, answer 5",
        7: "cut off, no answer",
    }
    assert found[7].asked == " The answer is: many"
    assert found[6].parent is found[2]


def test_the_path_is_that_of_the_best_candidate_with_the_answer(saved: Path) -> None:
    tree = read_tree(saved)
    assert [node.id for node in tree.path] == [2, 6]
    assert {i for i, node in nodes(tree).items() if node.chosen} == {2, 6}


def test_votes_add_up(saved: Path) -> None:
    votes = read_tree(saved).votes
    assert [(v.answer, v.count, round(v.weight, 9), v.chosen) for v in votes] == [
        ("5", 2, 1.75, True),
        ("6", 1, 0.3, False),
        (None, 1, 0.4, False),
    ]


def test_no_two_nodes_of_the_map_overlap(wide: Path) -> None:
    tree = read_tree(wide)
    drawn = draw(tree)
    count = sum(len(stage.nodes) for stage in tree.stages)
    assert len(drawn.marks) == len(drawn.edges) == count
    spots = {(round(mark.x), round(mark.y)) for mark in drawn.marks}
    assert len(spots) == count
    for x in {mark.x for mark in drawn.marks}:
        ys = sorted(mark.y for mark in drawn.marks if mark.x == x)
        assert all(b - a >= 20 for a, b in pairwise(ys))
    assert all(0 < mark.y < drawn.height for mark in drawn.marks)


def test_a_real_search_agrees_with_what_solve_wrote(wide: Path) -> None:
    document, tree = json.loads(wide.read_text(encoding="utf-8")), read_tree(wide)
    found = nodes(tree)
    for level, after in pairwise(document["levels"]):
        leaves = {c["branch"] for c in document["candidates"]}
        frontier = [c["branch"] for c in level["candidates"] if c["branch"] not in leaves]
        assert [len(found[i].children) for i in frontier] == after["widths"]
    assert sum(node.fate == "pruned" for node in found.values()) == document["dropped"]
    assert sum(vote.count for vote in tree.votes) == len(document["candidates"])
    assert tree.path[-1].answer == document["answer"]


def test_independent_paths_are_rows(tmp_path: Path) -> None:
    search = {**SEARCH, "levels": [], "selection": "majority", "dropped": 0}
    for found in search["candidates"]:
        assert found["branch"] > 0
    path = tmp_path / "votes.json"
    path.write_text(json.dumps(search))
    tree = read_tree(path)
    assert [len(stage.nodes) for stage in tree.stages] == [4, 3, 1]
    assert len({node.id for stage in tree.stages for node in stage.nodes}) == 8
    assert fate(tree.stages[0].nodes[1]) == "went on"
    assert "step 3" in page(tree)


def test_greedy_without_scores_is_shown(tmp_path: Path) -> None:
    alone = leaf(1, None, [], "no idea", done=False)
    search = {**SEARCH, "levels": [], "selection": "greedy", "answer": None, "candidates": [alone]}
    path = tmp_path / "greedy.json"
    path.write_text(json.dumps(search))
    text = page(read_tree(path))
    assert "<b>No answer</b> was found" in text
    assert "sum of scores" not in text


def test_the_page_is_self_contained_and_escapes_what_models_write(saved: Path) -> None:
    text = page(read_tree(saved))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "2 &lt;b&gt;pens&lt;/b&gt; &amp; buys" in text
    assert not re.search(r"https?://|@import|url\(|src=", text)
    anchors = set(re.findall(r'href="#([^"]+)"', text))
    assert anchors <= set(re.findall(r'id="([^"]+)"', text))
    assert len(re.findall(r'<a href="#s\d+" class=', text)) == 7  # every node can be reached by key
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_the_command_writes_beside_the_file_and_keeps_what_is_there(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = saved.with_suffix(".html")
    assert main(["tree", str(saved)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    out.write_text("mine")
    assert main(["tree", str(saved)]) == 1
    assert "give --force" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["tree", str(saved), "--force"]) == 0
    assert "Path to the answer" in out.read_text()
    assert main(["tree", str(saved), "-o", str(saved), "--force"]) == 1
    assert json.loads(saved.read_text(encoding="utf-8")) == SEARCH
    assert sorted(path.name for path in saved.parent.iterdir()) == ["search.html", "search.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        ("{}", "is not a search that solve --tree wrote"),
        ("[1]", "is not a search that solve --tree wrote"),
        ("x", "is not a search that solve --tree wrote"),
    ],
)
def test_what_is_no_search_is_one_line(
    content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    assert main(["tree", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
    assert not path.with_suffix(".html").exists()


@pytest.mark.slow
def test_a_browser_shows_it_light_and_dark(wide: Path) -> None:
    out = wide.with_suffix(".html")
    assert main(["tree", str(wide)]) == 0
    for scheme in ("light", "dark"):
        pixels = screenshot(out, scheme)
        assert (pixels[2, 2].mean() < 0.3) == (scheme == "dark")
        assert pixels.std() > 0.03  # something is on it


@pytest.mark.slow
@pytest.mark.parametrize("width", [1300, 500])
def test_nothing_sticks_out_of_the_window(wide: Path, width: int) -> None:
    out = wide.with_suffix(".html")
    assert main(["tree", str(wide)]) == 0
    assert int(probe(out, "document.documentElement.scrollWidth", width)) <= width


def test_one_tree_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.trees.jsonl"
    stale = tree_line("7", {**SEARCH, "question": "before it was interrupted"})
    path.write_text(tree_line("70", SEARCH) + stale + tree_line("7", SEARCH) + '{"id": "8", "que')
    assert read_stored_tree(path, "7").question == SEARCH["question"]  # type: ignore[union-attr]
    assert read_stored_tree(path, "8") is None
    assert main(["tree", str(path), "--question", "7"]) == 0
    assert "2 &lt;b&gt;pens" in (tmp_path / "x.trees.html").read_text()
    for arguments, said in (([], "name one with --question"), (["--question", "9"], "9 is none")):
        assert main(["tree", str(path), *arguments, "--force"]) == 1
        error = capsys.readouterr().err
        assert f"{path} holds 2 questions, 70 to 7; {said}" in error
        assert error.count("\n") == 1
