"""The `solve` command: one question, one method, one answer with everything it took."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.command import run
from convert.printing import say
from convert.refusal import Refusal
from methods import catalog
from methods.arguments import own_values, warn_unused
from methods.solve_arguments import parser, unused

if TYPE_CHECKING:
    from methods.build import MethodSpec
    from methods.candidate import Answer, Stage
    from runtime.engine import Engine
    from runtime.options import Thinking

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
    from runtime.prompt import prompt_format

    spec = _spec(options)
    with _open(_policy(options), options, options.think) as policy:
        _say(f"policy: {policy.artifact.path.name}, {policy.artifact.level}; {policy.device}")
        if not catalog.METHODS[options.method].needs_reward:
            return build(spec, policy, None, _watch()).solve(problem, options.seed)
        with _open(options.reward or _own_reward(policy), options) as reward:
            _say(f"reward: {reward.artifact.path.name}, {reward.artifact.level}; {reward.device}")
            scorer = ProcessRewardScorer(reward, prompt_format(policy).step_stop)
            return build(spec, policy, scorer, _watch()).solve(problem, options.seed)


def _policy(options: argparse.Namespace) -> str:
    plain = options.think == "off"
    return options.policy or ("reference:policy" if plain else "reference:thinker")


def _own_reward(policy: Engine) -> str:
    """The reward model that goes with a reference policy; nobody else's policy has one."""
    if policy.artifact.source not in ("reference:policy", "reference:thinker"):
        raise Refusal(
            f"{policy.artifact.path.name} needs a reward model; give --reward, or choose "
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
        aggregation=options.aggregation,
        selection=method.selection,
        own=method.search.settings(own_values(options)),
    )


def _open(model: str, options: argparse.Namespace, think: Thinking = "off") -> Engine:
    """An engine for a path as it stands, or for a source that is converted first."""
    from runtime.gate import DEFAULTS
    from runtime.load import open_engine
    from runtime.options import EngineOptions

    path = Path(model)
    branches = catalog.METHODS[options.method].search.branches(options.width)
    if not path.exists():
        if model.endswith(".gguf"):
            raise FileNotFoundError(f"{model} does not exist; make it with convert --quant LEVEL")
        from convert.ensure import ensure

        path = ensure(model, options.quant, offline=options.offline).path
    return open_engine(
        path,
        EngineOptions(
            device=options.device,
            context=options.context,
            max_branches=branches,
            kv_type=options.kv_type,
            gpu_layers=options.gpu_layers,
            threads=options.threads,
            think=think,
            gate_by=options.gate_by,
            gate=DEFAULTS[options.gate_by] if options.gate is None else options.gate,
            thought_temperature=options.thought_temperature,
        ),
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
