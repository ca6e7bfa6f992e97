"""The models that a command's arguments name: found or converted, checked, opened how."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.artifact import RewardProtocol
    from runtime.options import EngineOptions


def stated_protocol(options: argparse.Namespace) -> RewardProtocol | None:
    """How the reward model scores, where the user says so."""
    if options.protocol is None:
        return None
    from convert.stated import asked_reward

    return asked_reward(options.protocol)


def located(
    model: str, options: argparse.Namespace, protocol: RewardProtocol | None = None
) -> Path:
    """A path as it stands, or where a source was converted to.

    Raises:
        FileNotFoundError: for a GGUF that does not exist; says how to make it.
        Refusal: for a source that cannot be had or converted.
    """
    path = Path(model)
    if path.exists():
        return path
    if model.endswith(".gguf"):
        raise FileNotFoundError(f"{model} does not exist; make it with convert --quant LEVEL")
    from convert.ensure import ensure
    from convert.stated import Stated

    stated = None if protocol is None else Stated("reward", reward=protocol)
    return ensure(model, options.quant, offline=options.offline, stated=stated).path


def pair(
    policy: str,
    reward: str | None,
    options: argparse.Namespace,
    protocol: RewardProtocol | None = None,
) -> tuple[Path, Path | None]:
    """Where policy and reward model are, converted where they have to be.

    Raises:
        Refusal: if one stands in the other's place.
    """
    from methods.pairing import check_policy, check_reward
    from runtime.load import describe_model

    path = located(policy, options)
    check_policy(describe_model(path))
    if reward is None:
        return path, None
    judge = located(reward, options, protocol)
    check_reward(describe_model(judge, protocol))
    return path, judge


def engine_options(options: argparse.Namespace, context: int, branches: int) -> EngineOptions:
    """How the arguments of `add_models` open a model, for so many tokens and branches."""
    from runtime.options import EngineOptions

    return EngineOptions(
        device=options.device,
        context=context,
        max_branches=branches,
        kv_type=options.kv_type,
        gpu_layers=options.gpu_layers,
        threads=options.threads,
    )
