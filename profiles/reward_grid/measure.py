"""Policy levels times reward levels: every reward model scores the same solutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from convert.artifact import Aggregation, RewardProtocol
from convert.progress import Progress
from methods.candidate import Candidate
from methods.pairing import check_policy
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from profiles.lineup import Lineup
from profiles.opened_model import OpenedModel, opened_model
from profiles.reward_grid.candidate_pool import Pool, sample, score
from profiles.reward_grid.cells import RewardCell, cell
from profiles.reward_grid.reward_changes import Gold, Scored
from runtime.engine import Engine, Sampling
from runtime.prompt import prompt_format


class Opener(Protocol):
    """Opens a model; with a protocol, a reward model that scores so."""

    def __call__(self, path: Path, protocol: RewardProtocol | None = None, /) -> Engine: ...


@dataclass(frozen=True, slots=True)
class GridRequest:
    """What is sampled, and by whom it is scored."""

    policies: Sequence[Path]
    rewards: Lineup
    problems: Sequence[Problem]
    gold: Gold
    n: int
    sampling: Sampling
    seed: int = 0
    aggregation: Aggregation = "last"
    balance: float = 0.1
    protocol: RewardProtocol | None = None  # None: as the reward model says


@dataclass(frozen=True, slots=True)
class Sampled:
    """All solutions of one policy level."""

    policy: OpenedModel
    step_stop: str
    pools: tuple[Pool, ...]


def measure(
    request: GridRequest, opener: Opener, progress: Progress | None = None
) -> list[RewardCell]:
    """The cells by policy, full-precision reward first in each. One model is open at a time.

    Raises:
        Refusal: if a policy is a reward model, or a reward model is none.
        ContextFull: if the solutions of a problem do not fit the reward model's KV cache.
    """
    progress = progress or Progress()
    sampled = [_sample(request, opener, path, progress) for path in request.policies]
    paths = (request.rewards.baseline, *request.rewards.levels)
    scored = [_score(request, opener, path, sampled, progress) for path in paths]
    return [
        cell(column[i], scored[0][i], request.gold, request.aggregation, request.balance)
        for i in range(len(sampled))
        for column in scored
    ]


def _sample(request: GridRequest, opener: Opener, path: Path, progress: Progress) -> Sampled:
    with opener(path) as policy:
        check_policy(policy.artifact)
        model, stop = opened_model(policy), prompt_format(policy).step_stop
        pools = []
        with progress.bar(f"sample {model.level}", len(request.problems)) as bar:
            for problem in request.problems:
                pools.append(sample(policy, problem, request.n, request.sampling, request.seed))
                bar.step("problems")
    return Sampled(model, stop, tuple(pools))


def _score(
    request: GridRequest,
    opener: Opener,
    path: Path,
    sampled: Sequence[Sampled],
    progress: Progress,
) -> list[Scored]:
    """All policies' solutions under one reward model."""
    with opener(path, request.protocol) as reward:
        model = opened_model(reward)
        total = sum(len(found.pools) for found in sampled)
        with progress.bar(f"score {model.level}", total) as bar:
            return [
                Scored(found.policy, model, found.pools, list(_candidates(reward, found, bar.step)))
                for found in sampled
            ]


def _candidates(
    reward: Engine, sampled: Sampled, step: Callable[[str], None]
) -> Iterator[list[Candidate]]:
    scorer = ProcessRewardScorer(reward, sampled.step_stop)
    for pool in sampled.pools:
        yield score(scorer, pool)
        step("problems")
