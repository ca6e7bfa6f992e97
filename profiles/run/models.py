"""The models of a configuration, opened as its file says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from methods import opened
from methods.catalog import search_named
from methods.opened import Models
from methods.token_limits import room_for_prompt
from profiles.records.configuration import Configuration
from runtime.load import describe_model

Opener = Callable[[Configuration], AbstractContextManager[Models]]


def open_models(configuration: Configuration) -> Models:
    """Both models; the reward model only where it is used."""
    spec, reward = configuration.spec, configuration.reward
    paths = search_named(spec.search).paths(spec.width)
    shared = configuration.parallel > 1 and not configuration.options.streams
    return opened.open_models(
        describe_model(configuration.policy),
        describe_model(reward, configuration.reward_protocol) if reward else None,
        configuration.options,
        configuration.judge,
        paths=configuration.parallel * paths,
        step_tokens=spec.step_tokens,
        least=room_for_prompt(configuration.prompt) + paths * spec.max_tokens if shared else None,
    )
