"""A saved search as one self-contained page: a map of the tree, the votes, and every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from methods.catalog import SELECTIONS
from profiles.templates import render
from profiles.text_formats import significant
from profiles.tree.nodes import Node, Tree, TreeStage, Vote

WIDTH, HEIGHT, ROW = 64, 18, 24  # of a node, and between leaves, in pixels
NARROW, WIDE, PAGE = 140, 230, 1180  # pixels between stages: as the page has room
LEFT, TOP, LABEL = 62, 40, 150  # the root, the headings, room for the last answers
SHORT = 18  # characters of an answer on the map


@dataclass(frozen=True, slots=True)
class Mark:
    """A node on the map, in pixels."""

    node: Node
    x: float
    y: float
    label: str

    @property
    def css(self) -> str:
        names = [self.node.fate.replace(" ", "-")]
        return " ".join(names + (["chosen"] if self.node.chosen else []))

    @property
    def text(self) -> str:
        """The score and the width: how many children it was allotted."""
        score = f"{self.node.score:.2f}" if self.node.score is not None else f"{self.node.tokens} t"
        allotted = self.node.fate == "grew" and self.node.id == self.node.branch
        return f"{score} ×{len(self.node.children)}" if allotted else score

    @property
    def hint(self) -> str:
        """What the pointer shows."""
        score = f"score {self.node.score:.3f}, " if self.node.score is not None else ""
        return f"{score}{fate(self.node)}: {' '.join(self.node.text.split())}"


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from a node to its child."""

    path: str
    css: str


@dataclass(frozen=True, slots=True)
class Map:
    """The drawing, in pixels."""

    width: float
    height: float
    root_y: float
    heads: tuple[tuple[float, str, str], ...]  # x, stage, budget
    marks: tuple[Mark, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class View:
    """All that a page shows of a search. `prefix` sets its anchors apart from another's."""

    tree: Tree
    map: Map
    rule: str
    largest: float  # what a full bar stands for
    stages: list[tuple[TreeStage, list[Node]]]  # the nodes from the top of the map down
    facts: list[tuple[str, str]]
    prefix: str
    size: dict[str, int]

    def fate(self, node: Node) -> str:
        return fate(node)


def page(tree: Tree) -> str:
    """The page; it loads nothing from anywhere and needs no script."""
    return render("tree/page.html.j2", view=view(tree))


def view(tree: Tree, prefix: str = "") -> View:
    """A search as the template takes it."""
    drawn = draw(tree)
    order = {mark.node.id: mark.y for mark in drawn.marks}
    return View(
        tree,
        drawn,
        SELECTIONS[tree.selection].meaning,
        _largest(tree.votes, scored=tree.scored),
        [(stage, sorted(stage.nodes, key=lambda node: order[node.id])) for stage in tree.stages],
        _facts(tree),
        prefix,
        {"width": WIDTH, "height": HEIGHT, "left": LEFT},
    )


def fate(node: Node) -> str:
    """What became of a node, in words."""
    if node.id != node.branch:
        return "went on"
    if node.fate == "grew":
        return f"{len(node.children)} child{'ren' if len(node.children) != 1 else ''}"
    if node.fate == "pruned":
        return "pruned"
    return f"{node.fate}, {'no answer' if node.answer is None else f'answer {node.answer}'}"


def draw(tree: Tree) -> Map:
    """The map: a row for every node without children, parents in the middle of theirs."""
    heights: dict[int, float] = {}
    column = min(WIDE, max(NARROW, (PAGE - LEFT - LABEL) / (max(1, len(tree.stages)) - 0.5)))
    roots = _ranked(tree.stages[0].nodes) if tree.stages else []
    rows = 0
    for root in roots:
        rows = _place(root, rows, heights)
    marks = [
        Mark(node, LEFT + column * (node.depth - 0.5), heights[node.id], _label(node))
        for stage in tree.stages
        for node in stage.nodes
    ]
    ys = [heights[root.id] for root in roots]
    root_y = (min(ys) + max(ys)) / 2 if ys else float(TOP)
    spots = {mark.node.id: mark for mark in marks}
    heads = tuple(
        (
            LEFT + column * (stage.depth - 0.5),
            f"stage {stage.depth}" if stage.budget is not None else f"step {stage.depth}",
            f"width {stage.budget}" if stage.budget is not None else f"of {len(stage.nodes)}",
        )
        for stage in tree.stages
    )
    edges = sorted((_edge(mark, spots, root_y) for mark in marks), key=lambda edge: edge.css)
    return Map(
        LEFT + column * (len(tree.stages) - 0.5) + LABEL,
        TOP + ROW * rows + 8,
        root_y,
        heads,
        tuple(marks),
        tuple(edges),
    )


def _place(node: Node, rows: int, heights: dict[int, float]) -> int:
    """Give a node and all below it their heights; returns the rows used so far.

    Children go in order of score, the best first.
    """
    if not node.children:
        heights[node.id] = TOP + ROW * (rows + 0.5)
        return rows + 1
    for child in _ranked(node.children):
        rows = _place(child, rows, heights)
    ys = [heights[child.id] for child in node.children]
    heights[node.id] = (min(ys) + max(ys)) / 2
    return rows


def _ranked(nodes: Sequence[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: -(node.score or 0.0))


def _label(node: Node) -> str:
    if node.fate == "grew":
        return ""
    if node.fate == "pruned":
        return "pruned"
    text = "no answer" if node.answer is None else f"= {node.answer}"
    text = text if len(text) <= SHORT else text[: SHORT - 1] + "…"
    return text + (" (cut off)" if node.fate == "cut off" else "")


def _edge(mark: Mark, spots: dict[int, Mark], root_y: float) -> Edge:
    parent = mark.node.parent
    x0 = LEFT - 8 if parent is None else spots[parent.id].x + WIDTH / 2
    y0 = root_y if parent is None else spots[parent.id].y
    x1, y1 = mark.x - WIDTH / 2, mark.y
    middle = (x0 + x1) / 2
    path = f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return Edge(path, "on" if mark.node.chosen else "")


def _largest(votes: Sequence[Vote], *, scored: bool) -> float:
    """What a full bar stands for."""
    return max((vote.weight if scored else vote.count for vote in votes), default=0) or 1.0


def _facts(tree: Tree) -> list[tuple[str, str]]:
    policy, reward = tree.usage, tree.scorer_usage
    nodes = [node for stage in tree.stages for node in stage.nodes]
    count = {fate: sum(node.fate == fate for node in nodes) for fate in ("pruned", "cut off")}
    leaves = sum(node.fate in ("finished", "cut off") for node in nodes)
    found = [
        ("steps", f"{len(nodes)} in {len(tree.stages)} stages"),
        ("paths", f"{leaves}, {count['cut off']} of them cut off; {count['pruned']} pruned"),
        ("time", f"{significant(tree.latency_s)} s"),
        ("first token", f"after {significant(tree.ttft_s)} s"),
        (
            "policy",
            f"{policy.prefill_tokens:.0f} prefill and {policy.decode_tokens:.0f} decode "
            f"tokens in {policy.calls:.0f} calls",
        ),
    ]
    if reward.prefill_tokens:
        found.append(("reward", f"{reward.prefill_tokens:.0f} tokens in {reward.calls:.0f} calls"))
    return found
