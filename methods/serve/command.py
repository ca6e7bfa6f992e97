"""The `serve` command."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convert.command import run
from convert.printing import say
from convert.refusal import Refusal
from methods.judges import judges
from methods.models import engine_options, pair, stated_protocol
from methods.serve.arguments import parser
from methods.token_limits import STEP

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from convert.artifact import RewardProtocol
    from methods.judges import OwnJudge

CONTEXT = 8192  # tokens in memory, all requests together
MISSING = "the server's packages are not installed; pip install 'starbase-edge[serve]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `serve`; returns the exit code."""
    options = parser().parse_args(arguments)
    return run("serve", lambda: _serve(options), supervised=arguments is None)


def _serve(options: argparse.Namespace) -> None:
    """Find or convert the models, listen, open them, answer until a signal."""
    try:
        from methods.serve.opening import Opening
        from methods.serve.server import Server, listen
    except ModuleNotFoundError as error:
        raise Refusal(f"{MISSING} ({error.name} is missing)") from error
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stderr)
    protocol = stated_protocol(options)
    named = judges(options.reward or (None if options.policy else "reference:reward"))
    policy, reward = pair(options.policy or "reference:policy", named.model, options, protocol)
    with listen(options.host, options.port) as listening:
        opening = Opening(lambda: _open(options, policy, reward, named.own, protocol))
        server = Server(opening, options.grace, access_log=options.access_log)

        def give_up() -> None:
            server.should_exit = True

        host, port = listening.getsockname()[:2]
        ready = f"serving {policy.name} at http://{host}:{port}, endpoints under /v1"
        opening.start(lambda: say(ready, sys.stderr), give_up)
        try:
            server.run(sockets=[listening])
        finally:
            opening.end()
    if opening.error is not None:
        raise opening.error


def _open(
    options: argparse.Namespace,
    policy: Path,
    reward: Path | None,
    own: OwnJudge | None,
    protocol: RewardProtocol | None,
) -> tuple[ASGIApp, Callable[[], None]]:
    """The application over opened models, and what ends it."""
    from methods.opened import open_models
    from methods.serve.app import Door, make_app
    from methods.serve.desk import Desk, DeskOptions
    from methods.serve.way import Way
    from runtime.load import describe_model

    models = open_models(
        describe_model(policy),
        describe_model(reward, protocol) if reward else None,
        engine_options(options, options.context or CONTEXT, options.branches),
        own,
        paths=options.width,
        step_tokens=STEP,
        least=None if options.context else CONTEXT // 2,
    )
    for line in models.lines():
        say(line, sys.stderr)
    desk = Desk(
        models,
        DeskOptions(
            Way(options.method, options.width, options.think), options.max_tokens, options.queue
        ),
    )
    door = Door(
        options.host,
        tuple(options.api_key),
        tuple(options.allowed_host),
        tuple(options.cors_origin) if options.cors_origin else None,
    )
    return make_app(desk, door), desk.stop
