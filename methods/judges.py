"""Who scores the steps of a search: the policy itself, a reward model, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from convert.artifact import Aggregation
from convert.refusal import Refusal

if TYPE_CHECKING:
    from methods.scorers import Scorer
    from runtime.engine import Engine

OwnJudge = Literal["logprob", "logprob-min"]
OWN: tuple[OwnJudge, ...] = get_args(OwnJudge)
AGGREGATED: dict[OwnJudge, Aggregation] = {"logprob": "prod", "logprob-min": "min"}  # over a path


@dataclass(frozen=True, slots=True)
class Judges:
    """What `--reward` names: a judge that needs no second model, a model, or both."""

    own: OwnJudge | None = None
    model: str | None = None

    @property
    def alone(self) -> bool:
        """Whether no reward model is opened, named or not."""
        return self.own is not None and self.model is None


def judges(reward: str | None) -> Judges:
    """`logprob`, `MODEL`, or `logprob*MODEL`: the product of both scores.

    Raises:
        Refusal: for a product of one.
    """
    name, times, model = (reward or "").partition("*")
    for own in OWN:
        if name == own:
            if times and not model:
                raise Refusal(f"--reward {reward} names no model; choose {own}, or {own}*MODEL")
            return Judges(own, model or None)
    return Judges(None, reward)


def scorer_of(own: OwnJudge | None, policy: Engine, reward: Engine | None) -> Scorer | None:
    """The scorer over open engines; None where nobody judges."""
    from methods.own_scorers import LogprobScorer, Product
    from methods.scorers import ProcessRewardScorer
    from runtime.prompt import prompt_format

    read = None
    if reward is not None:
        read = ProcessRewardScorer(reward, prompt_format(policy).step_stop)
    if own is None:
        return read
    alone = LogprobScorer(policy.artifact.shape, AGGREGATED[own])
    return alone if read is None else Product(alone, read)
