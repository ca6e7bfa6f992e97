"""Who scores the steps of a search: the policy itself, a reward model, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from convert.artifact import Aggregation, Artifact
from convert.refusal import Refusal

if TYPE_CHECKING:
    from methods.scorers import Scorer
    from runtime.engine import Engine
    from runtime.probe import Probe

OwnJudge = Literal["logprob", "logprob-mean", "logprob-min", "self"]
OWN: tuple[OwnJudge, ...] = get_args(OwnJudge)
AGGREGATED: dict[OwnJudge, Aggregation] = {  # over a path
    "logprob": "prod",
    "logprob-mean": "mean",
    "logprob-min": "min",
    "self": "last",
}


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
    """`logprob`, `self`, `MODEL`, or `self*MODEL`: the product of both scores.

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


def probe_of(own: OwnJudge | None, policy: Artifact) -> Probe | None:
    """What to open a policy with, so that it can judge itself; None where it need not.

    Raises:
        Refusal: if no judge was fitted to it; says how, and what needs no fit.
    """
    if own != "self":
        return None
    from convert.self_judge import judge_path
    from methods.self_scorer import open_judge

    path = judge_path(policy.path)
    if not path.exists():
        raise Refusal(
            f"{policy.path.name} has no judge of its own; fit one with profile judge fit --policy "
            f"{policy.path} --data FILE, or choose --reward logprob-mean, which needs no fit"
        )
    return open_judge(path, policy)


def scorer_of(own: OwnJudge | None, policy: Engine, reward: Engine | None) -> Scorer | None:
    """The scorer over open engines, the policy opened with `probe_of`; None where nobody judges."""
    from methods.own_scorers import LogprobScorer, Product
    from methods.scorers import ProcessRewardScorer
    from methods.self_scorer import SelfScorer
    from runtime.prompt import prompt_format

    read = None
    if reward is not None:
        read = ProcessRewardScorer(reward, prompt_format(policy).step_stop)
    if own is None:
        return read
    alone: Scorer = LogprobScorer(policy.artifact.shape, AGGREGATED[own])
    if own == "self":
        alone = SelfScorer(policy)
    return alone if read is None else Product(alone, read)
