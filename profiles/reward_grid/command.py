"""The `profile reward-grid` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convert.refusal import Refusal
from methods import arguments as kinds
from methods.arguments import warn_unused
from profiles import arguments
from profiles.question_faults import warn_faults

if TYPE_CHECKING:
    from convert.artifact import Aggregation, RewardProtocol
    from profiles.reward_grid.measure import GridRequest

POLICY_LEVELS = ("f16", "q4_k_m")
BENCHMARK = "benchmark"
PROMPT_TOKENS = 1024  # of the KV cache, beside the solutions
EPILOG = """\
How few bits does the reward model need? Each policy level samples its solutions once; the reward
model scores the same ones at every level of its own. Without --policy and --reward the reference
models are measured.

examples:
  profile reward-grid
  profile reward-grid --levels q8_0 q4_k_m --reward-levels q8_0 q5_0 q4_0 --limit 500 -o grid.json
  profile reward-grid --policy p-q4_k_m.gguf --reward r-f16.gguf r-q4_0.gguf --data gsm8k.jsonl
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    p = commands.add_parser(
        "reward-grid",
        help="what quantizing the reward model changes, at every level of the policy",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = p.add_argument_group("models")
    arguments.add_model(models, "policy")
    arguments.add_levels(models, "--levels", POLICY_LEVELS)
    arguments.add_model(models, "reward")
    arguments.add_levels(models, "--reward-levels", arguments.LEVELS)
    models.add_argument(
        "--reward-baseline",
        metavar="MODEL",
        help="a source or a file (default: full precision; of files, the first)",
    )
    kinds.add_reward_protocol(models, "--protocol")
    arguments.add_place(models)
    search = p.add_argument_group("solutions")
    search.add_argument(
        "-n", type=kinds.paths, default=8, help="solutions of a problem (default: 8)"
    )
    search.add_argument("--temperature", type=kinds.temperature, default=1.0)
    search.add_argument("--top-p", type=kinds.share, default=1.0)
    search.add_argument("--max-tokens", type=kinds.tokens, metavar="N", default=256)
    search.add_argument("--seed", type=kinds.seed, default=0)
    kinds.add_aggregation(search)
    search.add_argument(
        "--balance", type=kinds.positive_real, default=0.1, help="REBASE's softmax temperature"
    )
    questions = p.add_argument_group("questions")
    questions.add_argument(
        "--data",
        metavar="FILE",
        default=BENCHMARK,
        help="jsonl in GSM8K's format, or the bundled benchmark (default), whose steps have labels",
    )
    questions.add_argument("--limit", type=arguments.positive, metavar="N", default=100)
    arguments.add_output(p.add_argument_group("output"))
    p.set_defaults(body=run)


def run(options: argparse.Namespace, given: Sequence[str]) -> None:
    """Measure, write and print."""
    from convert.progress import Progress
    from methods.catalog import SAMPLES
    from profiles import documents
    from profiles.reward_grid.document import document
    from profiles.reward_grid.measure import measure
    from runtime.load import open_engine
    from runtime.options import EngineOptions

    documents.check(options.output, force=options.force)
    rules = [
        arguments.levels_unused(options.policy, "--levels"),
        arguments.levels_unused(options.reward, "--reward-levels"),
    ]
    warn_unused("profile", given, rules)
    context = PROMPT_TOKENS + options.n * options.max_tokens
    if context > kinds.MAX_TOKENS:
        raise Refusal(
            f"-n {options.n} of --max-tokens {options.max_tokens} need a KV cache of {context} "
            f"tokens, and {kinds.MAX_TOKENS} are the most; lower one of them"
        )
    engines = EngineOptions(
        device=options.device,
        context=context,
        max_branches=SAMPLES.branches(options.n),
        threads=options.threads,
    )
    cells = measure(
        _request(options),
        lambda path, protocol=None: open_engine(path, engines, protocol),
        Progress(sys.stderr),
    )
    made = document(cells, documents.header(given))
    documents.deliver(made, options.output, json_wanted=options.json)


def _request(options: argparse.Namespace) -> GridRequest:
    from convert.sources import BENCHMARK as BUNDLED
    from methods.models import stated_protocol
    from methods.problem import read_problems
    from profiles.lineup import lineup, real_sources
    from profiles.reward_grid.measure import GridRequest
    from profiles.reward_grid.step_labels import read_gold_values
    from runtime.engine import Sampling

    _refuse_strangers(options)
    labelled = options.data == BENCHMARK
    data = BUNDLED if labelled else Path(options.data)
    found = read_problems(data, options.limit)
    warn_faults([problem.fault for problem in found if problem.fault], "are left out")
    problems = [problem for problem in found if problem.fault is None]
    sources = real_sources(offline=options.offline)
    protocol = stated_protocol(options)
    rewards = lineup(
        options.reward, options.reward_levels, options.reward_baseline, sources, protocol
    )
    return GridRequest(
        policies=lineup(options.policy, options.levels, None, sources).converted,
        rewards=rewards,
        protocol=protocol,
        problems=problems,
        gold=read_gold_values(data) if labelled else {},
        n=options.n,
        sampling=Sampling(options.temperature, options.top_p, options.max_tokens),
        seed=options.seed,
        aggregation=options.aggregation or _aggregation(rewards.baseline, protocol),
        balance=options.balance,
    )


def _aggregation(reward: Path, protocol: RewardProtocol | None) -> Aggregation:
    """As the reward model's protocol says; what is no reward model is refused once it is open."""
    from runtime.load import describe_model

    found = describe_model(reward, protocol).reward
    return found.aggregation if found is not None else "last"


def _refuse_strangers(options: argparse.Namespace) -> None:
    """A policy of one's own needs a reward model that reads its steps."""
    from profiles.lineup import REFERENCE

    own = not options.policy[0].startswith(REFERENCE)
    if own and options.reward == [f"{REFERENCE}reward"]:
        raise Refusal(
            "the reference reward model reads the reference policy's steps only; give --reward"
        )
