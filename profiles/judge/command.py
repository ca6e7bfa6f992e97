"""The `profile judge` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convert.printing import say
from convert.refusal import Refusal
from convert.units import GIB
from methods import arguments as kinds
from methods.answers.tasks import HELP, TASKS
from methods.prompt_arguments import add_prompt
from profiles import arguments
from profiles.question_faults import warn_faults

if TYPE_CHECKING:
    from convert.artifact import Artifact
    from methods.problem import Problem
    from profiles.judge.fit import Fitted
    from profiles.judge.measure import Measured
    from runtime.options import EngineOptions

BRANCHES = 32  # in a call, of several questions
PROMPT_TOKENS = 256  # of a question in the KV cache
USUAL = 0.5  # of an answer's longest length
HALF_BYTES = 2  # of a number of a state
EPILOG = """\
The policy answers questions whose answers are known; heads on its own states learn which of its
answers to a question were right. `solve --reward self` then scores every step with them: no second
model, no second reading. Fit at the level that will run; never fit to questions you measure on.

examples:
  profile judge fit --policy models/p-q4_k_m.gguf --data train.jsonl
  profile judge fit --policy models/p-q4_k_m.gguf --data train.jsonl --layers 8 16 final --json
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    judge = commands.add_parser(
        "judge", help="fit a judge to a policy's own states, for --reward self"
    )
    p = judge.add_subparsers(dest="judge", required=True, metavar="fit").add_parser(
        "fit",
        help="sample answers, label them by the gold ones, fit heads",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = p.add_argument_group("models")
    models.add_argument(
        "--policy", required=True, metavar="MODEL", help="a file, a checkpoint folder, or a source"
    )
    models.add_argument("--quant", metavar="LEVEL", default="q4_k_m", help="level of a source")
    models.add_argument(
        "--layers",
        nargs="+",
        type=_layer,
        metavar="N",
        help="states after so many layers, or final (default: a third, two thirds, all but the "
        "last layer; what the format shows); none reads log-probabilities alone",
    )
    arguments.add_place(models)
    answers = p.add_argument_group("answers")
    answers.add_argument(
        "--data", required=True, type=Path, metavar="FILE", help="jsonl with questions and answers"
    )
    answers.add_argument("--limit", type=arguments.positive, metavar="N", help="default: all")
    answers.add_argument("--task", choices=TASKS, help=f"{HELP} (default: as the fields say)")
    answers.add_argument(
        "--samples", type=kinds.paths, metavar="N", default=8, help="to a question (default: 8)"
    )
    answers.add_argument("--temperature", type=kinds.temperature, default=1.0)
    answers.add_argument("--max-tokens", type=kinds.tokens, metavar="N", help="of an answer")
    answers.add_argument("--seed", type=kinds.seed, default=0)
    add_prompt(p.add_argument_group("prompt"))
    out = p.add_argument_group("output")
    out.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="default: P.judge.safetensors beside the policy P.gguf, where --reward self looks",
    )
    out.add_argument("--force", action="store_true", help="overwrite FILE")
    out.add_argument("--json", action="store_true", help="print JSON instead of a table")
    p.set_defaults(body=run)


def run(options: argparse.Namespace, given: Sequence[str]) -> None:
    """Sample, fit, write, print.

    Raises:
        Refusal: for a policy that is none, layers it lacks, or data that teaches nothing.
    """
    from convert.self_judge import judge_path
    from methods import outputs
    from methods.models import located
    from methods.pairing import check_policy
    from profiles import documents
    from profiles.environment import environment
    from profiles.judge.document import document
    from runtime.load import describe_model

    policy = describe_model(located(options.policy, options))
    check_policy(policy)
    out = options.output or judge_path(policy.path)
    outputs.check([out], force=options.force)
    fitted, measured = _measured(options, policy)
    _write(out, policy, fitted, measured)
    say(f"wrote {out}", sys.stderr)
    header = {"command": documents.command_line(given), "environment": environment()}
    documents.deliver(document(measured, header), [], json_wanted=options.json)


def _measured(options: argparse.Namespace, policy: Artifact) -> tuple[Fitted, Measured]:
    from convert.progress import Progress
    from methods.prompt_arguments import changes
    from methods.token_limits import path_tokens
    from profiles.judge.measure import measure
    from profiles.judge.samples import gathered, written
    from runtime.engine import Sampling

    progress = Progress(sys.stderr)
    form = changes(options).applied(policy.prompt)
    tokens = path_tokens(form, options.max_tokens)
    layers = options.layers if options.layers is not None else default_layers(policy)
    layers = tuple(dict.fromkeys(n for n in layers if n))
    problems = _problems(options)
    _refuse_states(policy, len(layers), len(problems) * options.samples * tokens * USUAL)
    answers = written(
        policy.path,
        form,
        _engine(options, tokens),
        layers,
        problems,
        options.samples,
        Sampling(options.temperature, max_tokens=tokens),
        options.seed,
        progress,
    )
    return measure(gathered(answers, layers), layers, options.seed, progress)


def _refuse_states(policy: Artifact, layers: int, tokens: float) -> None:
    """Raise Refusal if the states of all answers would not fit into main memory."""
    import psutil

    needed = HALF_BYTES * layers * policy.shape.hidden * tokens
    free = psutil.virtual_memory().available
    if needed > free:
        raise Refusal(
            f"the states of so many answers take about {needed / GIB:.1f} GiB and {free / GIB:.1f} "
            "are free; lower --limit, --samples or --max-tokens, or choose fewer --layers"
        )


def default_layers(policy: Artifact) -> list[int]:
    """A third, two thirds and all but the last of the layers; of ONNX the final state."""
    from runtime.probe import FINAL

    count = policy.shape.layers
    if policy.format == "onnx":
        return [FINAL]
    return sorted({n for n in (count // 3, 2 * count // 3, count - 1) if n})


def _engine(options: argparse.Namespace, tokens: int) -> EngineOptions:
    from runtime.options import EngineOptions

    questions = max(1, BRANCHES // options.samples)
    return EngineOptions(
        device=options.device,
        context=questions * (PROMPT_TOKENS + options.samples * tokens),
        max_branches=2 * max(BRANCHES, options.samples) + 2,
        threads=options.threads,
    )


def _problems(options: argparse.Namespace) -> list[Problem]:
    from methods.problem import read_problems

    found = read_problems(options.data, options.limit, task=options.task)
    warn_faults([problem.fault for problem in found if problem.fault], "are left out")
    known = [problem for problem in found if problem.fault is None and problem.gold is not None]
    if not known:
        raise Refusal(f"{options.data} holds no question with an answer; a judge needs both")
    return known


def _write(out: Path, policy: Artifact, fitted: Fitted, measured: Measured) -> None:
    from convert.self_judge import JudgeProtocol, write_judge
    from profiles.environment import packages

    (kept,) = (row for row in measured.rows if row.kept)
    protocol = JudgeProtocol(
        policy.source,
        policy.level,
        policy.shape.hidden,
        fitted.layers,
        fitted.form,
        measured.questions,
        measured.answers,
        round(kept.auc.value, 4),
        tools=packages(),
    )
    write_judge(out, protocol, fitted.tensors)


def _layer(text: str) -> int:
    """A number of layers, `final`, or `none` for 0."""
    from runtime.probe import FINAL

    if text in ("final", "none"):
        return FINAL if text == "final" else 0
    try:
        return kinds.whole(1, 1 << 10)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; or choose final or none") from error
