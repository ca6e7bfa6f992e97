"""The `solve` command: one question, one method, one answer with everything it took."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.command import run
from convert.refusal import Refusal

if TYPE_CHECKING:
    from methods.build import MethodSpec, Search
    from methods.candidate import Answer, Level, Selection
    from runtime.engine import Engine
    from runtime.options import Thinking

METHODS: dict[str, tuple[Search, Selection]] = {
    "greedy": ("greedy", "greedy"),
    "majority": ("sample", "majority"),
    "best-of-n": ("sample", "best-of-n"),
    "weighted": ("sample", "weighted"),
    "rebase": ("rebase", "weighted"),
}
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
    p = argparse.ArgumentParser(
        prog="solve",
        description="Answer a question with a quantized model and a search method.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("question", help="the question, or - to read it from standard input")
    models = p.add_argument_group("models")
    models.add_argument(
        "--policy",
        metavar="MODEL",
        help="a .gguf file, a checkpoint folder, a hub id, or reference:policy (the default; "
        "reference:thinker where --think asks for thoughts)",
    )
    models.add_argument(
        "--reward", metavar="MODEL", help="likewise; a reference policy has its own"
    )
    models.add_argument(
        "--quant",
        metavar="LEVEL",
        default="q4_k_m",
        help="level for a model that has to be converted",
    )
    models.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    models.add_argument("--gpu-layers", type=int, metavar="N", help="default: as many as fit")
    models.add_argument("--threads", type=int, metavar="N", help="default: physical cores")
    models.add_argument("--context", type=int, metavar="TOKENS", default=4096, help="KV cache size")
    models.add_argument("--kv-type", choices=("f16", "q8_0", "q4_0"), default="f16")
    models.add_argument("--offline", action="store_true", help="never ask the hub")
    search = p.add_argument_group("search")
    search.add_argument("--method", choices=METHODS, default="rebase")
    search.add_argument("--width", type=int, metavar="N", default=8, help="paths, or REBASE width")
    search.add_argument("--temperature", type=float, default=1.0)
    search.add_argument("--top-p", type=float, default=1.0)
    search.add_argument("--balance", type=float, default=0.1, help="REBASE's softmax temperature")
    search.add_argument("--allocation", choices=("ceil", "round", "ceil_fp32"), default="ceil")
    search.add_argument("--aggregation", choices=("last", "min", "prod", "mean"), default="last")
    search.add_argument("--max-tokens", type=int, metavar="N", default=256, help="of one path")
    search.add_argument("--step-tokens", type=int, metavar="N", default=96, help="of one step")
    search.add_argument(
        "--no-elicit", action="store_true", help="leave paths cut off by a limit as they are"
    )
    search.add_argument("--seed", type=int, default=0)
    think = p.add_argument_group("thinking (Quiet-STaR models)")
    think.add_argument(
        "--think",
        choices=("off", "on", "gated"),
        default="off",
        help="before no token, before each, or only where the model is unsure",
    )
    think.add_argument(
        "--gate",
        type=float,
        metavar="X",
        help="unsure: the top probability is below X, or the entropy above (default: 0.9, 0.3)",
    )
    think.add_argument("--gate-by", choices=("probability", "entropy"), default="probability")
    think.add_argument("--thought-temperature", type=float, default=1.0)
    out = p.add_argument_group("output")
    out.add_argument("--tree", type=Path, metavar="FILE", help="write the whole search as JSON")
    out.add_argument("--force", action="store_true", help="overwrite FILE")
    out.add_argument("--json", action="store_true", help="print one JSON document")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `solve`; returns the exit code."""
    options = parser().parse_args(arguments)
    return run("solve", lambda: _solve(options), supervised=arguments is None)


def _solve(options: argparse.Namespace) -> None:
    from methods import show
    from methods.problem import Problem

    if options.tree and options.tree.exists() and not options.force:
        raise FileExistsError(f"{options.tree} exists; give --force to overwrite it")
    question = sys.stdin.read() if options.question == "-" else options.question
    if not question.strip():
        raise Refusal("the question is empty")
    answer = _answer(options, Problem("0", question.strip()))
    aggregation = options.aggregation
    if options.tree:
        _write(options.tree, show.tree(question.strip(), answer, aggregation))
    if options.json:
        print(json.dumps(show.document(answer, aggregation), ensure_ascii=False))
    else:
        print(show.report(answer, aggregation))


def _answer(options: argparse.Namespace, problem: Any) -> Answer:
    from methods.build import build
    from methods.scorers import ProcessRewardScorer
    from runtime.prompt import prompt_format

    spec = _spec(options)
    with _open(_policy(options), options, options.think) as policy:
        _say(f"policy: {policy.artifact.path.name}, {policy.artifact.level}; {policy.device}")
        if options.method in ("greedy", "majority"):
            return build(spec, policy, None).solve(problem, options.seed)
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
            "--method greedy or majority"
        )
    return "reference:reward"


def _spec(options: argparse.Namespace) -> MethodSpec:
    from methods.build import MethodSpec

    search, selection = METHODS[options.method]
    return MethodSpec(
        search=search,
        width=options.width,
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=options.max_tokens,
        step_tokens=options.step_tokens,
        balance=options.balance,
        allocation=options.allocation,
        elicit=not options.no_elicit,
        aggregation=options.aggregation,
        selection=selection,
    )


def _open(model: str, options: argparse.Namespace, think: Thinking = "off") -> Engine:
    """An engine for a path as it stands, or for a source that is converted first."""
    from runtime.gate import DEFAULTS
    from runtime.load import open_engine
    from runtime.options import EngineOptions

    path = Path(model)
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
            max_branches=min(256, 2 * options.width + 2),
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

    seen: list[Level] = []

    def watch(level: Level) -> None:
        seen.append(level)
        _say(show.progress(seen))

    return watch


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _write(path: Path, document: dict[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    os.replace(part, path)
