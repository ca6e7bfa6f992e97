"""The arguments of `solve`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from methods import arguments as kinds
from methods import catalog
from methods.answers.tasks import HELP, TASKS
from methods.judges import judges
from methods.own_arguments import add_own_options
from methods.prompt_arguments import add_prompt
from methods.token_limits import CHAT_PATH, CHAT_STEP, PATH, STEP
from runtime.options import Device, KvType, Thinking

EPILOG = """\
Without --policy and --reward the reference models are used; they are converted on first use.

examples:
  solve "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?"
  solve --method majority --width 16 --policy models/mistral-q4_k_m.gguf "..."
  solve --method rebase --policy P.gguf --reward R.gguf --tree search.json "..."
  solve --think gated "..."
"""


def parser() -> argparse.ArgumentParser:
    """The command line of `solve`."""
    p = kinds.Parser(
        prog="solve",
        description="Answer a question with a quantized model and a search method.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("question", help="the question, or - to read it from standard input")
    p.add_argument("--task", choices=TASKS, default="gsm8k", help=f"{HELP} (default: gsm8k)")
    add_models(p.add_argument_group("models"))
    _search(p.add_argument_group("search"))
    _thinking(p.add_argument_group("thinking (Quiet-STaR models)"))
    prompt = p.add_argument_group("prompt")
    add_prompt(prompt)
    prompt.add_argument(
        "--show-prompt", action="store_true", help="print how the model is asked, and stop"
    )
    out = p.add_argument_group("output")
    out.add_argument("--tree", type=Path, metavar="FILE", help="write the whole search as JSON")
    out.add_argument("--force", action="store_true", help="overwrite FILE")
    out.add_argument("--json", action="store_true", help="print one JSON document")
    return p


def add_models(models: argparse._ArgumentGroup) -> None:
    """Which models, and how they are opened."""
    models.add_argument(
        "--policy",
        metavar="MODEL",
        help="a .gguf file, a checkpoint folder, a hub id, or reference:policy (the default; "
        "reference:thinker where --think asks for thoughts)",
    )
    models.add_argument(
        "--reward",
        metavar="MODEL",
        help="likewise; a reference policy has its own; or what needs no second model: logprob "
        "scores a step by its probability, logprob-mean by the mean of its tokens, logprob-min by "
        "the least sure one, self by a judge that profile judge fit made; self*MODEL multiplies "
        "both",
    )
    kinds.add_reward_protocol(models, "--protocol")
    models.add_argument(
        "--quant",
        metavar="LEVEL",
        default="q4_k_m",
        help="level for a model that has to be converted",
    )
    models.add_argument("--device", choices=get_args(Device), default="auto")
    models.add_argument(
        "--gpu-layers", type=kinds.natural, metavar="N", help="default: as many as fit"
    )
    models.add_argument(
        "--threads", type=kinds.threads, metavar="N", help="default: physical cores"
    )
    models.add_argument(
        "--context",
        type=kinds.tokens,
        metavar="TOKENS",
        help="KV cache size (default: 4096, for chat models what the paths need)",
    )
    models.add_argument("--kv-type", choices=get_args(KvType), default="f16")
    models.add_argument("--offline", action="store_true", help="never ask the hub")


def _search(search: argparse._ArgumentGroup) -> None:
    search.add_argument("--method", choices=catalog.METHODS, default=catalog.REBASE.name)
    search.add_argument(
        "--width", type=kinds.paths, metavar="N", default=8, help="paths, or a tree's width"
    )
    kinds.add_draws(search)
    search.add_argument("--allocation", choices=get_args(catalog.Allocation), default="ceil")
    kinds.add_aggregation(search)
    search.add_argument(
        "--max-tokens",
        type=kinds.tokens,
        metavar="N",
        help=f"of one path (default: {PATH}, chat models {CHAT_PATH})",
    )
    search.add_argument(
        "--step-tokens",
        type=kinds.tokens,
        metavar="N",
        help=f"of one step (default: {STEP}, chat models {CHAT_STEP})",
    )
    search.add_argument(
        "--no-elicit", action="store_true", help="leave paths cut off by a limit as they are"
    )
    add_own_options(search)
    kinds.add_limits(search)
    search.add_argument("--seed", type=kinds.seed, default=0)


def _thinking(think: argparse._ArgumentGroup) -> None:
    think.add_argument(
        "--think",
        choices=get_args(Thinking),
        default="off",
        help="before no token, before each, or only where the model is unsure",
    )
    kinds.add_thoughts(think)


def unused(options: argparse.Namespace) -> list[tuple[bool, tuple[str, ...], str]]:
    """Arguments that a method or a way of thinking does not read."""
    scored = catalog.METHODS[options.method].needs_reward
    judge = judges(options.reward)
    models = [options.policy, *([judge.model] if scored and not judge.alone else [])]
    named = f"--method {options.method}"
    return [
        (not scored, ("--reward", "--protocol", "--aggregation"), f"{named} reads no scores"),
        (True, catalog.unread([options.method]), named),
        (options.think == "off", ("--thought-temperature",), "give --think on or gated"),
        (options.think != "gated", ("--gate", "--gate-by"), "give --think gated"),
        (
            all(model and Path(model).is_file() for model in models),
            ("--quant",),
            "the models are files as they stand",
        ),
    ]
