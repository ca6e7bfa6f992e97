"""A method from a plain description, so that a run can be named, stored and repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from convert.refusal import Refusal
from methods.allocate import Allocation
from methods.baseline import SampleVote
from methods.candidate import Aggregation, Answer, Level, Selection
from methods.problem import Problem
from methods.rebase import Rebase
from methods.scorers import ProcessRewardScorer
from methods.seed_rebase import SeedRebase
from methods.seed_vote import SeedVote
from runtime.engine import Engine, Sampling

Search = Literal["greedy", "sample", "rebase"]
ProtocolName = Literal["fair", "seed"]  # the same for all systems, or the code of arXiv 2412.16260

SELECTIONS: dict[Search, tuple[Selection, ...]] = {
    "greedy": ("greedy",),
    "sample": ("majority", "best-of-n", "weighted"),
    "rebase": ("weighted", "majority", "best-of-n"),
}


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """How to search. One `sample` run serves majority, best-of-n and weighted vote alike."""

    search: Search
    width: int = 1  # paths of `sample`, width of `rebase`; 1 for greedy
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256  # of one path
    step_tokens: int = 96  # of one step
    balance: float = 0.1
    allocation: Allocation = "ceil"
    elicit: bool = True  # ask paths that a limit cut off for their answer
    aggregation: Aggregation | None = None  # None: as the reward model's protocol says
    selection: Selection = "weighted"
    protocol: ProtocolName = "fair"


def seed_spec(search: Search, width: int) -> MethodSpec:
    """A search with the settings of the code of arXiv 2412.16260.

    Raises:
        Refusal: for a search that it does not have.
    """
    if search == "greedy":
        raise Refusal("the seed protocol has no greedy; choose majority or rebase")
    return MethodSpec(
        search,
        width,
        max_tokens=384,
        balance=0.2,
        allocation="ceil_fp32",
        selection="majority" if search == "sample" else "best-of-n",
        protocol="seed",
    )


class Method(Protocol):
    """Anything that answers problems."""

    def solve(self, problem: Problem, seed: int) -> Answer:
        """The answer with everything it took; the same seed on the same engine repeats it.

        Raises:
            ContextFull: if the question does not fit the engine's KV cache.
        """
        ...


def build(
    spec: MethodSpec,
    engine: Engine,
    scorer: ProcessRewardScorer | None,
    watch: Callable[[Level], None] = lambda _: None,
) -> Method:
    """The method of a description. `scorer` may be None for greedy and for a majority vote.

    Raises:
        Refusal: if the description needs a scorer and there is none.
    """
    if spec.width < 1:
        raise Refusal(f"width {spec.width} is not positive")
    if spec.protocol == "seed":
        return _seed(spec, engine, scorer, watch)
    if spec.search == "greedy":
        greedy = Sampling(temperature=0, max_tokens=spec.max_tokens)
        return SampleVote(engine, None, 1, greedy, "greedy", elicit=spec.elicit)
    sampling = Sampling(spec.temperature, spec.top_p, spec.max_tokens)
    aggregation = spec.aggregation or (scorer.aggregation if scorer else "last")
    if scorer is None and (spec.search == "rebase" or spec.selection != "majority"):
        what = "rebase" if spec.search == "rebase" else spec.selection
        raise Refusal(f"{what} needs a reward model; give --reward, or choose majority")
    if spec.search == "sample":
        return SampleVote(
            engine, scorer, spec.width, sampling, spec.selection, aggregation, spec.elicit
        )
    assert scorer is not None
    return Rebase(
        engine,
        scorer,
        spec.width,
        Sampling(spec.temperature, spec.top_p, min(spec.step_tokens, spec.max_tokens)),
        spec.max_tokens,
        spec.balance,
        spec.allocation,
        spec.selection,
        aggregation,
        spec.elicit,
        watch=watch,
    )


def _seed(
    spec: MethodSpec,
    engine: Engine,
    scorer: ProcessRewardScorer | None,
    watch: Callable[[Level], None],
) -> Method:
    """A method of the seed protocol, which reads its own settings off the description."""
    if spec.search == "sample":
        return SeedVote(engine, spec.width, Sampling(spec.temperature, 1.0, spec.max_tokens))
    if scorer is None:
        raise Refusal("rebase needs a reward model; give --reward, or choose majority")
    step = Sampling(spec.temperature, 1.0, spec.step_tokens)
    return SeedRebase(
        engine, scorer, spec.width, step, spec.max_tokens, spec.balance, spec.allocation, watch
    )
