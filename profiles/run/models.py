"""The models of a configuration, opened as its file says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from methods.catalog import search_named
from methods.judges import probe_of
from methods.token_limits import room_for_prompt
from profiles.records.configuration import Configuration
from runtime.engine import Engine
from runtime.load import describe_model, open_engine
from runtime.shared_card import share_card


@dataclass(frozen=True, slots=True)
class OpenModels:
    """The open engines of a configuration; the reward model only where it is used."""

    policy: Engine
    reward: Engine | None


Opener = Callable[[Configuration], AbstractContextManager[OpenModels]]


@contextmanager
def open_models(configuration: Configuration) -> Iterator[OpenModels]:
    """Both models, open until the context is left."""
    spec, protocol = configuration.spec, configuration.reward_protocol
    paths = configuration.parallel * search_named(spec.search).paths(spec.width)
    models = [(describe_model(configuration.policy), configuration.options)]
    if configuration.reward is not None:
        plain = replace(configuration.options, think="off")
        models.append((describe_model(configuration.reward, protocol), plain))
    settled = share_card(models, paths, spec.step_tokens, _least(configuration))
    judge = configuration.judge
    probe = None if judge is None else probe_of(judge, models[0][0])
    with open_engine(configuration.policy, settled[0], probe=probe) as policy:
        if configuration.reward is None:
            yield OpenModels(policy, None)
        else:
            with open_engine(configuration.reward, settled[1], protocol) as reward:
                yield OpenModels(policy, reward)


def _least(configuration: Configuration) -> int | None:
    """Tokens of the KV cache that one question needs; others can wait. None: nobody waits."""
    spec = configuration.spec
    if configuration.parallel == 1 or configuration.options.streams:
        return None
    paths = search_named(spec.search).paths(spec.width)
    return room_for_prompt(configuration.prompt) + paths * spec.max_tokens
