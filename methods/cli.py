"""The `solve` command: one question, one method, one answer with everything it took."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convert.command import run
from convert.printing import say
from convert.refusal import Refusal, one_of
from methods import catalog
from methods.arguments import warn_unused
from methods.models import engine_options, located, stated_protocol
from methods.own_arguments import own_values
from methods.solve_arguments import parser, unused

if TYPE_CHECKING:
    from convert.artifact import Artifact, PromptFormat, RewardProtocol
    from methods.build import MethodSpec
    from methods.candidate import Answer, Stage
    from methods.judges import Judges
    from methods.problem import Problem
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
    problem = Problem("0", question, task=options.task)
    plan = _plan(options)
    textual = plan.form is not None and plan.form.template is not None
    own = (textual, ("--template-arg",), "the model is not asked in its chat template")
    warn_unused("solve", given, [*unused(options), own])
    if options.show_prompt:
        say(_prompt(options, plan, problem))
        return
    answer = _answer(options, plan, problem)
    branches = catalog.METHODS[options.method].search.tree and options.width > 1
    if branches and len(answer.stages) == 1:
        _say(f"solve: warning: {show.unbranched(plan.form)}")
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is settled before a model is opened."""

    policy: Artifact
    form: PromptFormat | None  # how it is asked
    spec: MethodSpec
    engine: EngineOptions  # of both models, but for thinking
    protocol: RewardProtocol | None


def _plan(options: argparse.Namespace) -> _Plan:
    """The policy is converted where it has to be; what can be refused before that is.

    Raises:
        Refusal: if it is a reward model.
    """
    from methods.pairing import check_policy
    from methods.prompt_arguments import changes
    from methods.token_limits import context_tokens
    from runtime.load import describe_model

    wish, engine, protocol = changes(options), _engine_options(options), stated_protocol(options)
    policy = describe_model(located(_policy(options), options))
    check_policy(policy)
    form = wish.applied(policy.prompt)
    spec = _spec(options, form)
    if options.context is None:
        paths = catalog.METHODS[options.method].search.paths(options.width)
        engine = replace(engine, context=context_tokens(form, paths, spec.max_tokens))
    return _Plan(policy, form, spec, engine, protocol)


def _prompt(options: argparse.Namespace, plan: _Plan, problem: Problem) -> str:
    from methods.show_prompt import prompt_document, prompt_report
    from runtime.load import open_engine
    from runtime.prompt import ask_as

    with open_engine(plan.policy.path, plan.engine) as policy:
        ask_as(policy, plan.form)
        if options.json:
            return json.dumps(prompt_document(policy, problem), ensure_ascii=False)
        return prompt_report(policy, problem)


def _answer(options: argparse.Namespace, plan: _Plan, problem: Problem) -> Answer:
    from methods.build import build
    from methods.judges import judges
    from methods.opened import open_models
    from runtime.prompt import ask_as

    row = catalog.METHODS[options.method]
    named = judges((options.reward or _own_reward(plan.policy)) if row.needs_reward else None)
    judge = _reward_model(named, options, plan)
    with open_models(
        plan.policy,
        judge,
        replace(plan.engine, think=options.think),
        named.own,
        paths=row.search.paths(options.width),
        step_tokens=plan.spec.step_tokens,
    ) as models:
        ask_as(models.policy, plan.form)
        for line in models.lines():
            _say(line)
        return models.in_turns(
            lambda seen: build(plan.spec, seen.policy, seen.scorer(), _watch()).solve(
                problem, options.seed
            )
        )


def _reward_model(named: Judges, options: argparse.Namespace, plan: _Plan) -> Artifact | None:
    """The reward model, converted where it has to be; None where none reads the steps.

    Raises:
        Refusal: if it is not one.
    """
    from methods.pairing import check_reward
    from runtime.load import describe_model

    if named.model is None:
        return None
    found = describe_model(located(named.model, options, plan.protocol), plan.protocol)
    check_reward(found)
    return found


def _policy(options: argparse.Namespace) -> str:
    plain = options.think == "off"
    return options.policy or ("reference:policy" if plain else "reference:thinker")


def _own_reward(policy: Artifact) -> str:
    """The reward model that goes with a reference policy; nobody else's policy has one."""
    if policy.source not in ("reference:policy", "reference:thinker"):
        raise Refusal(
            f"{policy.path.name} needs a reward model; give --reward, {catalog.WITHOUT_MODEL}, "
            f"or choose --method {one_of(catalog.without_reward())}"
        )
    return "reference:reward"


def _spec(options: argparse.Namespace, form: PromptFormat | None) -> MethodSpec:
    from methods.build import MethodSpec
    from methods.token_limits import path_tokens, step_tokens

    method = catalog.METHODS[options.method]
    return MethodSpec(
        search=method.search.name,
        width=options.width,
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=path_tokens(form, options.max_tokens),
        step_tokens=step_tokens(form, options.step_tokens),
        balance=options.balance,
        allocation=options.allocation,
        elicit=not options.no_elicit,
        stop_loops=options.stop_loops,
        think_budget=options.think_budget,
        budget=options.budget,
        aggregation=options.aggregation,
        selection=method.selection,
        own=method.search.settings(own_values(options)),
    )


def _engine_options(options: argparse.Namespace) -> EngineOptions:
    """How both models are opened, but for thinking."""
    from methods.token_limits import CONTEXT
    from runtime.gate import DEFAULTS

    branches = catalog.METHODS[options.method].search.branches(options.width)
    return replace(
        engine_options(options, options.context or CONTEXT, branches),
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
