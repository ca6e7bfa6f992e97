"""A method from a plain description, so that a run can be named, stored and repeated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import Protocol

from convert.artifact import Aggregation
from convert.refusal import Refusal, one_of
from methods import catalog
from methods.budget import Budget
from methods.candidate import Answer, Stage
from methods.catalog import Allocation, ProtocolName, Selection
from methods.problem import Problem
from methods.scorers import Scorer
from methods.token_limits import PATH, STEP
from runtime.engine import Engine, Sampling

Watch = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """How to search. The runs of one search serve all methods that the catalog has for it.

    Raises:
        Refusal: for a search that is not in the catalog, or a number that none can be.
    """

    search: str
    width: int = 1  # paths, or a tree's width
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = PATH  # of one path
    step_tokens: int = STEP  # of one step
    balance: float = 0.1
    allocation: Allocation = "ceil"
    elicit: bool = True  # ask paths that a limit cut off for their answer
    aggregation: Aggregation | None = None  # None: as the reward model's protocol says
    selection: Selection = catalog.JUDGED
    protocol: ProtocolName = ProtocolName.FAIR
    stop_loops: bool = False  # end paths that repeat themselves, and ask them for their answer
    logprobs: bool = True  # of greedy's steps: False where nobody reads them
    think_budget: int | None = None  # tokens after which a `<think>` block is closed
    own: Mapping[str, int | float] = field(default_factory=dict)  # options of this search alone
    budget: Budget | None = None  # of all work on an answer

    def __post_init__(self) -> None:
        catalog.search_named(self.search)
        Sampling(self.temperature, self.top_p, min(self.max_tokens, self.step_tokens))
        if self.width < 1:
            raise Refusal(f"width {self.width} is not positive")
        if self.think_budget is not None and self.think_budget < 1:
            raise Refusal(f"think_budget {self.think_budget} is not positive")
        if not 0 < self.balance < math.inf:
            raise Refusal(f"balance {self.balance} is not a positive number")


def paper_spec(search: str, width: int) -> MethodSpec:
    """A search with the settings of the code of arXiv 2412.16260.

    Raises:
        Refusal: for a search that it does not have.
    """
    form = catalog.search_named(search).paper
    if form is None:
        raise Refusal(f"the paper's protocol has no {search}")
    return MethodSpec(
        search,
        width,
        max_tokens=384,
        balance=0.2,
        allocation="ceil_fp32",
        selection=form.selection,
        protocol=ProtocolName.PAPER,
    )


class Method(Protocol):
    """Anything that answers problems."""

    def solve(self, problem: Problem, seed: int) -> Answer:
        """The answer with everything it took; the same seed on the same engine repeats it.

        Raises:
            ContextFull: if the question does not fit the engine's KV cache.
        """
        ...


class Builder(Protocol):
    """What a search of the catalog names: a method from its description, nothing in it None."""

    def __call__(
        self, spec: MethodSpec, engine: Engine, scorer: Scorer | None, watch: Watch
    ) -> Method:
        """`scorer` is there wherever the search is scored; `watch` gets every finished stage."""
        ...


def build(
    spec: MethodSpec,
    engine: Engine,
    scorer: Scorer | None,
    watch: Watch = lambda _: None,
) -> Method:
    """The method of a description. `scorer` may be None where neither search nor choice is scored.

    Raises:
        Refusal: if the description needs a scorer and there is none.
    """
    search = catalog.search_named(spec.search)
    name, served = search.builder, catalog.selections_of(search.name)
    if spec.protocol is ProtocolName.PAPER and search.paper is not None:
        name, served = search.paper.builder, (search.paper.selection,)
    selection = spec.selection if spec.selection in served else served[0]
    if scorer is None and (search.scored or catalog.SELECTIONS[selection].scored):
        raise Refusal(
            f"{search.name if search.scored else selection} needs a reward model; give --reward, "
            f"{catalog.WITHOUT_MODEL}, or choose {one_of(catalog.without_reward())}"
        )
    aggregation = spec.aggregation or (scorer.aggregation if scorer else "last")
    builder: Builder = resolve_name(name)
    own = search.settings(spec.own)
    settled = replace(spec, selection=selection, aggregation=aggregation, own=own)
    return builder(settled, engine, scorer, watch)
