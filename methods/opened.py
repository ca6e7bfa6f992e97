"""The models of a search, opened together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from convert.artifact import Artifact
from methods.judges import OwnJudge, probe_of, scorer_of
from methods.scorers import Scorer
from runtime.engine import Engine
from runtime.load import open_artifact
from runtime.options import EngineOptions
from runtime.scheduler import Scheduler
from runtime.shared_card import share_card

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Models:
    """Open engines; the reward model only where it is used."""

    policy: Engine
    reward: Engine | None = None
    own: OwnJudge | None = None  # how the policy judges itself, if it does

    def scorer(self) -> Scorer | None:
        """Who scores the steps of a search; None where nobody does."""
        return scorer_of(self.own, self.policy, self.reward)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those that are there, for a scheduler."""
        return tuple(engine for engine in (self.policy, self.reward) if engine is not None)

    def over(self, views: Sequence[Engine]) -> Models:
        """The same models as a scheduler's job sees them."""
        policy, *others = views
        return Models(policy, others[0] if others else None, self.own)

    def in_turns(self, work: Callable[[Models], T]) -> T:
        """What `work` returns; where the KV cache does not hold all branches, they take turns."""
        with Scheduler(*self.engines) as scheduler:
            job = scheduler.submit(lambda *views: work(self.over(views)))
            list(scheduler.run())
        found: T = job.result()
        return found

    def lines(self) -> list[str]:
        """What runs where: `policy: NAME, q4_k_m; on CPU, 2 threads`, and the reward model's."""
        named = (("policy", self.policy), ("reward", self.reward))
        return [
            f"{role}: {one.artifact.path.name}, {one.artifact.level}; {one.device}"
            for role, one in named
            if one is not None
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for engine in (self.policy, self.reward):
            if engine is not None:
                engine.close()


def open_models(
    policy: Artifact,
    reward: Artifact | None,
    options: EngineOptions,
    own: OwnJudge | None = None,
    *,
    paths: int,
    step_tokens: int,
    least: int | None = None,
) -> Models:
    """Both models, on the card they share if there is one (`share_card` says by which numbers).

    The reward model is opened with the same options, but never thinks.

    Raises:
        Refusal: if one cannot be opened, or a policy is to judge itself and no judge was fitted.
    """
    described = [(policy, options)]
    if reward is not None:
        described.append((reward, replace(options, think="off")))
    settled = share_card(described, paths, step_tokens, least)
    ours = open_artifact(policy, settled[0], probe_of(own, policy))
    if reward is None:
        return Models(ours, own=own)
    try:
        return Models(ours, open_artifact(reward, settled[1]), own)
    except BaseException:
        ours.close()
        raise
