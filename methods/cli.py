"""The `solve` command: one question, one method, one answer with everything it took."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.command import run
from convert.printing import say
from convert.refusal import Refusal
from methods import catalog
from methods.arguments import own_values, warn_unused
from methods.solve_arguments import parser, unused

if TYPE_CHECKING:
    from convert.artifact import Artifact, RewardProtocol
    from methods.build import MethodSpec
    from methods.candidate import Answer, Stage
    from runtime.options import EngineOptions

QUESTION_BYTES = 1 << 26  # of standard input, which may have no end


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `solve`; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    return run("solve", lambda: _solve(options, given), supervised=arguments is None)


def _solve(options: argparse.Namespace, given: Sequence[str]) -> None:
    from convert.files import write_json
    from methods import outputs, show
    from methods.problem import Problem

    if options.tree:
        outputs.check([options.tree], force=options.force)
    question = _question(options.question)
    warn_unused("solve", given, unused(options))
    answer = _answer(options, Problem("0", question, task=options.task))
    if options.tree:
        write_json(options.tree, show.tree(question, answer))
    say(
        json.dumps(show.document(answer), ensure_ascii=False)
        if options.json
        else show.report(answer)
    )


def _question(given: str) -> str:
    """The question, from standard input where it is `-`.

    Raises:
        Refusal: if it is empty, not UTF-8, or without an end.
    """
    try:
        if given == "-":
            if sys.stdin is None:
                raise Refusal("standard input is closed; give the question as an argument")
            content = sys.stdin.buffer.read(QUESTION_BYTES + 1)
            if len(content) > QUESTION_BYTES:
                raise Refusal(f"standard input holds more than {QUESTION_BYTES} bytes")
            given = content.decode()
        given.encode()  # Python keeps what it cannot decode as halves of surrogate pairs
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise Refusal(f"the question is not UTF-8 text: {error.reason}") from error
    if not given.strip():
        raise Refusal("the question is empty")
    return given.strip()


def _answer(options: argparse.Namespace, problem: Any) -> Answer:
    from methods.build import build
    from methods.scorers import ProcessRewardScorer
    from runtime.load import open_engine
    from runtime.prompt import prompt_format

    spec, plain, protocol = _spec(options), _engine_options(options), _protocol(options)
    path, judge = _pair(options, protocol)
    with open_engine(path, replace(plain, think=options.think)) as policy:
        _say(f"policy: {policy.artifact.path.name}, {policy.artifact.level}; {policy.device}")
        if judge is None:
            return build(spec, policy, None, _watch()).solve(problem, options.seed)
        with open_engine(judge, plain, protocol) as reward:
            _say(f"reward: {reward.artifact.path.name}, {reward.artifact.level}; {reward.device}")
            scorer = ProcessRewardScorer(reward, prompt_format(policy).step_stop)
            return build(spec, policy, scorer, _watch()).solve(problem, options.seed)


def _pair(options: argparse.Namespace, protocol: RewardProtocol | None) -> tuple[Path, Path | None]:
    """Policy and reward model, converted where they have to be.

    Raises:
        Refusal: if one stands in the other's place.
    """
    from methods.pairing import check_policy, check_reward
    from runtime.load import describe_model

    path = _located(_policy(options), options)
    policy = describe_model(path)
    check_policy(policy)
    if not catalog.METHODS[options.method].needs_reward:
        return path, None
    judge = _located(options.reward or _own_reward(policy), options, protocol)
    check_reward(describe_model(judge, protocol))
    return path, judge


def _policy(options: argparse.Namespace) -> str:
    plain = options.think == "off"
    return options.policy or ("reference:policy" if plain else "reference:thinker")


def _own_reward(policy: Artifact) -> str:
    """The reward model that goes with a reference policy; nobody else's policy has one."""
    if policy.source not in ("reference:policy", "reference:thinker"):
        raise Refusal(
            f"{policy.path.name} needs a reward model; give --reward, or choose "
            f"--method {catalog.listed(catalog.without_reward())}"
        )
    return "reference:reward"


def _spec(options: argparse.Namespace) -> MethodSpec:
    from methods.build import MethodSpec

    method = catalog.METHODS[options.method]
    return MethodSpec(
        search=method.search.name,
        width=options.width,
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=options.max_tokens,
        step_tokens=options.step_tokens,
        balance=options.balance,
        allocation=options.allocation,
        elicit=not options.no_elicit,
        stop_loops=options.stop_loops,
        think_budget=options.think_budget,
        aggregation=options.aggregation,
        selection=method.selection,
        own=method.search.settings(own_values(options)),
    )


def _protocol(options: argparse.Namespace) -> RewardProtocol | None:
    """How the reward model scores, where the user says so."""
    if options.protocol is None:
        return None
    from convert.stated import read_reward

    return read_reward(options.protocol)


def _located(
    model: str, options: argparse.Namespace, protocol: RewardProtocol | None = None
) -> Path:
    """A path as it stands, or where a source was converted to."""
    path = Path(model)
    if path.exists():
        return path
    if model.endswith(".gguf"):
        raise FileNotFoundError(f"{model} does not exist; make it with convert --quant LEVEL")
    from convert.ensure import ensure
    from convert.stated import Stated

    stated = None if protocol is None else Stated("reward", reward=protocol)
    return ensure(model, options.quant, offline=options.offline, stated=stated).path


def _engine_options(options: argparse.Namespace) -> EngineOptions:
    """How both models are opened, but for thinking."""
    from runtime.gate import DEFAULTS
    from runtime.options import EngineOptions

    return EngineOptions(
        device=options.device,
        context=options.context,
        max_branches=catalog.METHODS[options.method].search.branches(options.width),
        kv_type=options.kv_type,
        gpu_layers=options.gpu_layers,
        threads=options.threads,
        gate_by=options.gate_by,
        gate=DEFAULTS[options.gate_by] if options.gate is None else options.gate,
        thought_temperature=options.thought_temperature,
    )


def _watch() -> Any:
    from methods import show

    seen: list[Stage] = []

    def watch(stage: Stage) -> None:
        seen.append(stage)
        _say(show.progress(seen))

    return watch


def _say(line: str) -> None:
    say(line, sys.stderr)
