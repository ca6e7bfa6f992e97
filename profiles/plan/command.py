"""`profile plan`: will it fit, at which levels, and with how many layers on the card."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import get_args

from convert.printing import say
from convert.refusal import Refusal, one_of
from convert.units import GIB
from methods.arguments import paths, tokens, warn_unused
from methods.catalog import METHODS, REBASE, WITHOUT_MODEL, unread, without_reward
from methods.judges import judges
from profiles import arguments
from runtime.options import KvType

EPILOG = """\
MODEL is a .gguf file, a checkpoint folder, reference:NAME, a hub id that is in the local cache, or
a shape by name, with no file at hand: mistral-7b, llama-3-8b, qwen2.5-7b, ...

examples:
  profile plan --policy mistral-7b --reward mistral-7b --width 16 --context 1024 --vram 8 12 24
  profile plan --policy models/p-q4_k_m.gguf --reward models/r-q4_k_m.gguf --width 8 --vram 12
  profile plan --policy qwen2.5-7b --method majority --width 32 --vram 12 --quant q8_0 q4_k_m
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    p = commands.add_parser(
        "plan",
        help="compute what fits a card before anything is downloaded",
        description="Memory of a search, computed from the shapes of its models; nothing is run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--policy",
        metavar="MODEL",
        help="see below; default: reference:policy (reference:thinker with --think)",
    )
    p.add_argument(
        "--reward",
        metavar="MODEL",
        help="likewise; default with a reference policy: its own; logprob and self take no memory",
    )
    p.add_argument("--method", choices=METHODS, default=REBASE.name)
    p.add_argument(
        "--width", type=paths, metavar="N", default=8, help="paths, or a tree's width (default: 8)"
    )
    p.add_argument(
        "--context",
        type=tokens,
        metavar="TOKENS",
        default=1024,
        help="of one path, prompt included (default: 1024)",
    )
    p.add_argument(
        "--prompt",
        type=tokens,
        metavar="TOKENS",
        default=128,
        help="of them, the prompt that all paths share (default: 128)",
    )
    p.add_argument(
        "--cells",
        type=tokens,
        metavar="TOKENS",
        help="of the whole KV cache, as solve --context (default: what the paths need)",
    )
    p.add_argument("--kv-type", choices=get_args(KvType), default="f16")
    p.add_argument("--think", action="store_true", help="the policy is a Quiet-STaR model")
    p.add_argument(
        "--quant",
        nargs="+",
        type=_level,
        metavar="LEVEL",
        help="levels to consider (default: f16 q8_0 q6_k q5_k_m q4_k_m q3_k_m q2_k)",
    )
    p.add_argument(
        "--vram",
        nargs="+",
        type=arguments.gib,
        metavar="GIB",
        default=[8 * GIB, 12 * GIB, 24 * GIB],
        help="sizes of cards (default: 8 12 24)",
    )
    p.add_argument("--json", action="store_true", help="print one JSON document")
    p.set_defaults(body=run)


def run(options: argparse.Namespace, given: Sequence[str]) -> None:
    """Print the plan.

    Raises:
        FileNotFoundError: if a model is not here.
        Refusal: for a search that cannot be, or a method without its reward model.
    """
    from profiles.plan.document import document, text
    from profiles.plan.measure import Plan, SearchSize, choices
    from profiles.plan.model_tensors import model_tensors

    method, why = METHODS[options.method], f"--method {options.method}"
    rules = [(not method.needs_reward, ("--reward",), why), (True, unread([method.name]), why)]
    warn_unused("profile", given, rules)
    models = [model_tensors(name) for name in models_of(options)]
    search = SearchSize(
        method.search.paths(options.width),
        options.context,
        options.prompt,
        options.kv_type,
        options.think,
        options.cells,
        method.search,
    )
    quant = list(dict.fromkeys(options.quant)) if options.quant else None
    found = choices(models, quant, search)
    for model in models:
        if search.context > model.shape.context:
            say(
                f"profile: warning: {model.name} was made for {model.shape.context} tokens, "
                f"a path has {search.context}",
                sys.stderr,
            )
    plan = Plan(
        options.method,
        tuple(models),
        search,
        tuple(found),
        tuple(dict.fromkeys(options.vram)),
        tuple(quant) if quant else None,
    )
    say(json.dumps(document(plan)) if options.json else text(plan))


def models_of(options: argparse.Namespace) -> list[str]:
    """The models that a method opens, the policy first.

    Raises:
        Refusal: if it needs a reward model and there is none.
    """
    policy = options.policy or ("reference:thinker" if options.think else "reference:policy")
    judge = judges(options.reward)
    if not METHODS[options.method].needs_reward or judge.alone:
        return [policy]
    reward = judge.model
    if reward is None and policy.startswith("reference:"):
        reward = "reference:reward"
    if reward is None:
        raise Refusal(
            f"{options.method} needs a reward model; give --reward, {WITHOUT_MODEL}, or choose "
            f"--method {one_of(without_reward())}"
        )
    return [policy, reward]


def _level(text: str) -> str:
    from convert.levels import parse_level

    try:
        return parse_level(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
