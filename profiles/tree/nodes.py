"""A saved search as a tree of nodes with their fates, from what `solve --tree` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from convert.files import regular
from convert.refusal import Refusal
from convert.typed import typed
from methods.catalog import SELECTIONS, Selection
from profiles.stored_json import load
from profiles.tree.search_document import SavedPath, SavedStage, SavedUsage, SearchDocument

SAVED = "a search that solve --tree wrote"
DEEPEST = 500  # stages or steps, many times what a search may take

Fate = Literal["grew", "pruned", "finished", "cut off"]


@dataclass(slots=True)
class Node:
    """One scored step. `depth` starts at 1. `id` is its branch where a branch is one step."""

    id: int
    branch: int
    parent: Node | None
    depth: int
    text: str
    tokens: int
    score: float | None
    fate: Fate
    answer: str | None = None
    asked: str | None = None  # how a path that was cut off went on when asked for its answer
    chosen: bool = False  # on the path that gave the answer
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TreeStage:
    """One depth of a search: its budget where it had one, and its nodes in the order written."""

    depth: int
    budget: int | None
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Vote:
    """What an answer got: how many candidates, and the sum of their scores."""

    answer: str | None
    count: int
    weight: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole search."""

    question: str
    answer: str | None
    selection: Selection
    stages: tuple[TreeStage, ...]
    votes: tuple[Vote, ...]
    path: tuple[Node, ...]  # the best one to the answer
    scored: bool
    usage: SavedUsage
    scorer_usage: SavedUsage
    latency_s: float
    ttft_s: float


def read_tree(path: Path) -> Tree:
    """The search in a file.

    Raises:
        FileNotFoundError: if there is no such file.
        Refusal: if `solve --tree` did not write it.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; write it with solve --tree {path}")
    return parse_tree(regular(path).read_bytes(), str(path))


def parse_tree(content: bytes, where: str) -> Tree:
    """The search in a JSON text.

    Raises:
        Refusal: if it is none; names `where`.
    """
    load(content, where, SAVED)
    document = typed(SearchDocument, content, f"{where} is not {SAVED}")
    before: set[int] = set()
    for stage in document.levels:
        if before and not {child.parent for child in stage.candidates} <= before:
            raise Refusal(f"{where} is not {SAVED}: stage {stage.depth} has children of nobody")
        before = {child.branch for child in stage.candidates}
    depth = max((len(path.steps) for path in document.candidates), default=0)
    if max(depth, len(document.levels)) > DEEPEST:
        raise Refusal(f"{where} is not {SAVED}: it is deeper than {DEEPEST} stages")
    return _tree_of(document)


def _tree_of(document: SearchDocument) -> Tree:
    leaves = {leaf.branch: leaf for leaf in document.candidates}
    if document.levels:
        stages = tuple(_grow(document.levels, leaves))
    else:
        stages = tuple(_side_by_side(document.candidates))
    best = _best(document)
    ends = {node.id: node for stage in stages for node in stage.nodes if node.id in leaves}
    path = tuple(_mark(ends[best.branch])) if best and best.branch in ends else ()
    return Tree(
        question=document.question,
        answer=document.answer,
        selection=document.selection,
        stages=stages,
        votes=tuple(_votes(document)),
        path=path,
        scored=any(leaf.score is not None for leaf in document.candidates),
        usage=document.usage,
        scorer_usage=document.scorer_usage,
        latency_s=document.latency_s,
        ttft_s=document.ttft_s,
    )


def _grow(saved: Sequence[SavedStage], leaves: Mapping[int, SavedPath]) -> Iterator[TreeStage]:
    """The stages of a tree search, children linked to their parents."""
    parents: dict[int | None, Node] = {}
    for stage in saved:
        nodes = []
        for found in stage.candidates:
            leaf = leaves.get(found.branch)
            node = Node(
                id=found.branch,
                branch=found.branch,
                parent=parents.get(found.parent),
                depth=stage.depth,
                text=found.text,
                tokens=found.tokens,
                score=found.score,
                fate="pruned" if leaf is None else _fate(leaf),
            )
            if node.parent is not None:
                node.parent.children.append(node)
                node.parent.fate = "grew"
            if leaf is not None:
                node.answer = leaf.answer
                node.asked = _asked(leaf, node.depth)
            nodes.append(node)
        parents = {node.id: node for node in nodes}
        yield TreeStage(stage.depth, stage.budget, tuple(nodes))


def _side_by_side(candidates: Sequence[SavedPath]) -> Iterator[TreeStage]:
    """The stages of independent paths; a path's nodes share its branch, its last one has its id."""
    chains = [_chain(leaf) for leaf in candidates]
    for depth in range(1, max(map(len, chains), default=0) + 1):
        nodes = tuple(chain[depth - 1] for chain in chains if len(chain) >= depth)
        yield TreeStage(depth, None, nodes)


def _chain(leaf: SavedPath) -> list[Node]:
    chain: list[Node] = []
    for number, step in enumerate(leaf.steps):
        last = number == len(leaf.steps) - 1
        node = Node(
            id=leaf.branch if last else -(1000 * leaf.branch + number + 1),
            branch=leaf.branch,
            parent=chain[-1] if chain else None,
            depth=number + 1,
            text=step.text,
            tokens=step.tokens,
            score=leaf.scores[number] if number < len(leaf.scores) else None,
            fate=_fate(leaf) if last else "grew",
            answer=leaf.answer if last else None,
        )
        if chain:
            chain[-1].children.append(node)
        chain.append(node)
    return chain


def _fate(leaf: SavedPath) -> Fate:
    return "finished" if leaf.finished else "cut off"


def _asked(leaf: SavedPath, depth: int) -> str | None:
    return "".join(step.text for step in leaf.steps[depth:]) or None


def _best(document: SearchDocument) -> SavedPath | None:
    """The highest scored candidate that gave the chosen answer."""
    givers = [leaf for leaf in document.candidates if leaf.answer == document.answer]
    return max(givers, key=lambda leaf: leaf.score or 0.0, default=None)


def _mark(end: Node) -> list[Node]:
    """The path to a node, root first, marked as chosen."""
    path: list[Node] = []
    node: Node | None = end
    while node is not None:
        node.chosen = True
        path.insert(0, node)
        node = node.parent
    return path


def _votes(document: SearchDocument) -> list[Vote]:
    """Answers by weight, or by count where nothing was scored; no answer comes last."""
    found: dict[str | None, list[float]] = {}
    for leaf in document.candidates:
        found.setdefault(leaf.answer, []).append(leaf.score or 0.0)
    votes = [
        Vote(answer, len(scores), sum(scores), answer is not None and answer == document.answer)
        for answer, scores in found.items()
    ]
    counted = not SELECTIONS[document.selection].scored
    return sorted(
        votes,
        key=lambda vote: (
            vote.answer is None,
            -(vote.count if counted else vote.weight),
            -vote.count,
        ),
    )
