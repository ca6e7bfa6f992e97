"""Every method once: a new one is a row of `METHODS` and the class that its search names.

`solve`, `profile run`, `profile plan`, the report, its labels and its plots read these rows; no
name of a method stands anywhere else. Nothing is loaded here: a class is when it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from convert.refusal import Refusal, one_of
from methods import arguments
from runtime.options import MAX_BRANCHES

Selection = Literal["greedy", "majority", "best-of-n", "weighted"]
Allocation = Literal["ceil", "round", "ceil_fp32"]  # of children, see `methods.allocate`


class ProtocolName(StrEnum):
    """What all systems of a comparison share. `seed` is what files call the paper's protocol."""

    FAIR = "fair"  # the same prompt, budget, elicitation and extraction
    PAPER = "seed"  # the code of arXiv 2412.16260

    @property
    def word(self) -> str:
        """As commands and reports say it: `fair`, `paper`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class SelectionRule:
    """How a search's candidates give one answer. Of equals the earlier one wins."""

    meaning: str
    suffix: str  # of a row's name, where a method is shown under a rule that is not its own
    scored: bool = False  # a candidate weighs what its scores say, else 1
    adds: bool = False  # equal answers add up, else the heaviest candidate decides


SELECTIONS: dict[Selection, SelectionRule] = {
    "greedy": SelectionRule("the only candidate", "greedy"),
    "majority": SelectionRule("the answer that most candidates gave", "majority", adds=True),
    "best-of-n": SelectionRule(
        "the answer of the candidate with the highest score", "best", scored=True
    ),
    "weighted": SelectionRule(
        "the answer with the largest sum of scores", "weighted", scored=True, adds=True
    ),
}
WITHOUT_MODEL = "--reward logprob-mean to do without one"  # advice, where no reward model is named
JUDGED: Selection = "weighted"  # what a run with a reward model answers with, if it is asked once


@dataclass(frozen=True, slots=True)
class PaperForm:
    """A search as the code of arXiv 2412.16260 has it."""

    builder: str
    selection: Selection


@dataclass(frozen=True, slots=True)
class Option:
    """A number that a search alone reads: a flag of the commands, and `MethodSpec.own[name]`."""

    name: str  # `beam-width` for `--beam-width`
    read: Callable[[str], float]  # one of `methods.arguments`
    default: float
    help: str


@dataclass(frozen=True, slots=True)
class Search:
    """What is run. Methods of one search share its runs, and differ in how they choose.

    `builder` is `module:callable`, called as `methods.build.Builder` says.
    """

    name: str
    builder: str
    reads: tuple[str, ...] = ()  # of the fields of `MethodSpec` those that only some searches read
    own: tuple[Option, ...] = ()
    scored: bool = False  # it cannot be run without a reward model
    tree: bool = False  # it grows in stages, which are kept
    paper: PaperForm | None = None

    def paths(self, width: int) -> int:
        """Paths that are alive at once."""
        return width if "width" in self.reads else 1

    def branches(self, width: int) -> int:
        """Branches to open an engine with: a stage's paths and their parents, the prompt, a spare.

        Where no stage needs its paths at once, those that find no branch wait for one.

        Raises:
            Refusal: for a tree wider than llama.cpp's branches; says how wide it may be.
        """
        wanted = 2 * self.paths(width) + 2
        if self.tree and wanted > MAX_BRANCHES:
            raise Refusal(
                f"--width {width} of {self.name} needs {wanted} branches at once, and llama.cpp "
                f"has {MAX_BRANCHES}; choose {(MAX_BRANCHES - 2) // 2} at most"
            )
        return min(wanted, MAX_BRANCHES)

    def settings(self, given: Mapping[str, float]) -> dict[str, float]:
        """Its own options: as given, else by default."""
        return {option.name: given.get(option.name, option.default) for option in self.own}


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A method as people ask for it."""

    name: str
    label: str  # as papers write it, with its `{width}`
    search: Search
    selections: tuple[Selection, ...]  # its own, and others that a report shows beside it
    standard: bool = False  # `profile run` runs it unasked

    @property
    def selection(self) -> Selection:
        return self.selections[0]

    @property
    def needs_reward(self) -> bool:
        return self.search.scored or SELECTIONS[self.selection].scored

    @property
    def in_paper(self) -> bool:
        """Whether the code of arXiv 2412.16260 has it."""
        return self.search.paper is not None and self.search.paper.selection in self.selections


ONE_PATH = Search("greedy", "methods.baseline:greedy")
SAMPLES = Search(
    "sample",
    "methods.baseline:sample",
    reads=("width", "temperature", "top_p"),
    paper=PaperForm("methods.paper_vote:PaperVote.build", "majority"),
)
FRONTIER = ("width", "temperature", "top_p", "step_tokens")  # what every tree reads
SHARED_OUT = (*FRONTIER, "balance", "allocation")
REBASE_TREE = Search(
    "rebase",
    "methods.rebase:Rebase.build",
    SHARED_OUT,
    scored=True,
    tree=True,
    paper=PaperForm("methods.paper_rebase:PaperRebase.build", "best-of-n"),
)
EARLY_VOTE = Search(
    "adaptive",
    "methods.adaptive:adaptive",
    reads=("width", "temperature", "top_p"),
    own=(
        Option("confidence", arguments.share, 0.95, "adaptive stops when this sure of its lead"),
        Option("wave", arguments.paths, 4, "paths that adaptive samples at once"),
    ),
)
BEAM_WIDTH = Option("beam-width", arguments.paths, 4, "steps sampled behind a path of beam or dvts")
BEAM_TREE = Search(
    "beam", "methods.beam:Beam.build", FRONTIER, (BEAM_WIDTH,), scored=True, tree=True
)
DVTS_TREE = Search(
    "dvts", "methods.dvts:Dvts.build", FRONTIER, (BEAM_WIDTH,), scored=True, tree=True
)
PARTICLE_TREE = Search(
    "particle", "methods.particle:ParticleFilter.build", FRONTIER, scored=True, tree=True
)
DORA_TREE = Search(
    "dora",
    "methods.dora:Dora.build",
    SHARED_OUT,
    (
        Option(
            "similarity", arguments.positive_real, 1.0, "dora's softmax temperature over cosines"
        ),
    ),
    scored=True,
    tree=True,
)
ETS_TREE = Search(
    "ets",
    "methods.ets:Ets.build",
    SHARED_OUT,
    (
        Option("node-price", arguments.real, 1.0, "what ets pays for the steps it keeps"),
        Option("cluster-worth", arguments.real, 1.5, "what different steps are worth to ets"),
    ),
    scored=True,
    tree=True,
)

BY_WEIGHT: tuple[Selection, ...] = ("weighted", "majority", "best-of-n")
BY_SCORE: tuple[Selection, ...] = ("best-of-n", "weighted", "majority")
GREEDY = MethodRow("greedy", "greedy", ONE_PATH, ("greedy",), standard=True)
MAJORITY = MethodRow("majority", "majority@{width}", SAMPLES, ("majority",), standard=True)
BEST_OF_N = MethodRow("best-of-n", "best-of-{width}", SAMPLES, ("best-of-n",), standard=True)
WEIGHTED = MethodRow("weighted", "weighted@{width}", SAMPLES, ("weighted",), standard=True)
REBASE = MethodRow("rebase", "REBASE w={width}", REBASE_TREE, BY_WEIGHT, standard=True)
ADAPTIVE = MethodRow("adaptive", "adaptive@{width}", EARLY_VOTE, ("majority",))
BEAM = MethodRow("beam", "beam n={width}", BEAM_TREE, BY_WEIGHT)
DVTS = MethodRow("dvts", "DVTS n={width}", DVTS_TREE, BY_WEIGHT)
PARTICLE = MethodRow("particle", "particles n={width}", PARTICLE_TREE, BY_SCORE)
DORA = MethodRow("dora", "DORA w={width}", DORA_TREE, BY_WEIGHT)
ETS = MethodRow("ets", "ETS w={width}", ETS_TREE, BY_WEIGHT)
METHODS: dict[str, MethodRow] = {
    row.name: row
    for row in (
        *(GREEDY, MAJORITY, BEST_OF_N, WEIGHTED, REBASE),
        *(ADAPTIVE, BEAM, DVTS, PARTICLE, DORA, ETS),
    )
}


def search_named(name: str) -> Search:
    """The search of that name.

    Raises:
        Refusal: if no method has it; lists those there are.
    """
    found = {row.search.name: row.search for row in METHODS.values()}
    if name not in found:
        raise Refusal(f"unknown search {name!r}; choose {one_of(found)}")
    return found[name]


def rows_of(search: str) -> list[MethodRow]:
    """The methods that read the runs of a search."""
    return [row for row in METHODS.values() if row.search.name == search]


def selections_of(search: str) -> tuple[Selection, ...]:
    """The ways of choosing that the runs of a search serve."""
    return tuple(dict.fromkeys(s for row in rows_of(search) for s in row.selections))


def shown_name(search: str, selection: Selection) -> str:
    """A search under one of its selections: `rebase`, and `rebase-best` where another one chose."""
    rows = rows_of(search)
    for row in rows:
        if row.selection == selection:
            return row.name
    row = next(row for row in rows if selection in row.selections)
    return f"{row.name}-{SELECTIONS[selection].suffix}"


def label(shown: str, width: int) -> str:
    """A shown name as papers write it: `best-of-8`, `REBASE w=8, majority`."""
    if shown in METHODS:
        return METHODS[shown].label.format(width=width)
    name, _, suffix = shown.rpartition("-")
    return f"{METHODS[name].label.format(width=width)}, {suffix}"


def in_paper(methods: Iterable[str]) -> None:
    """See that the code of arXiv 2412.16260 has these methods.

    Raises:
        Refusal: if it has not; lists those it has.
    """
    strange = [name for name in methods if not METHODS[name].in_paper]
    if strange:
        known = one_of(row.name for row in METHODS.values() if row.in_paper)
        raise Refusal(f"the paper's protocol has no {strange[0]}; choose {known}")


def standard() -> list[str]:
    """The methods that `profile run` runs unasked."""
    return [row.name for row in METHODS.values() if row.standard]


def without_reward() -> list[str]:
    """The methods that need no reward model."""
    return [row.name for row in METHODS.values() if not row.needs_reward]


def unread(methods: Iterable[str]) -> tuple[str, ...]:
    """The flags of what some searches read, but none of these methods."""
    read = {name for method in methods for name in _flags(METHODS[method].search)}
    known = dict.fromkeys(name for row in METHODS.values() for name in _flags(row.search))
    return tuple(name for name in known if name not in read)


def _flags(search: Search) -> list[str]:
    names = [*search.reads, *(option.name for option in search.own)]
    return [f"--{name.replace('_', '-')}" for name in names]


def own_options() -> list[Option]:
    """The options of single searches, each once."""
    return list({o.name: o for row in METHODS.values() for o in row.search.own}.values())
