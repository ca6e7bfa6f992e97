"""Answers a minute, many questions at once against one at a time, in one run.

    python tests/benchmarks/scheduler_speed.py MODEL.gguf --data gsm8k.jsonl --questions 32
    python tests/benchmarks/scheduler_speed.py MODEL.gguf --method rebase --reward REWARD.gguf

Both see the same questions; the single ones are a subset, since they take as long as it says. The
KV cache is the one that `profile run --parallel` takes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import llama_cpp.llama_cpp as llama

from convert.stated import asked_reward
from methods.build import MethodSpec, build
from methods.candidate import Answer
from methods.catalog import METHODS
from methods.opened import Models, open_models
from methods.problem import Problem, read_problems
from profiles.run.room import room_for
from runtime.load import EngineOptions, describe_model
from runtime.options import MAX_BRANCHES
from runtime.scheduler import Scheduler

BENCHMARK = Path(__file__).parents[2] / "convert" / "reference" / "benchmark.jsonl"
PROMPT = 256  # tokens, at most


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--reward", type=Path)
    parser.add_argument("--protocol", type=Path)
    parser.add_argument("--method", choices=METHODS, default="greedy")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--data", type=Path, default=BENCHMARK)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--alone", type=int, default=8, help="of them, one at a time")
    parser.add_argument("--parallel", type=int, nargs="+", default=[32])
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--cells", choices=("own", "shared"), help="of branches (default: as profile run)"
    )
    options = parser.parse_args()
    problems = read_problems(options.data, options.questions)
    search = METHODS[options.method].search
    spec = MethodSpec(search.name, options.width, max_tokens=options.max_tokens)
    protocol = asked_reward(options.protocol) if options.protocol else None
    policy = describe_model(options.model)
    reward = describe_model(options.reward, protocol) if options.reward else None
    paths, longest = search.paths(options.width), PROMPT + options.max_tokens
    alone_needs = PROMPT + paths * options.max_tokens
    settings = room_for(
        EngineOptions(
            device=options.device,
            context=max(2048, alone_needs),
            max_branches=search.branches(options.width),
            threads=options.threads,
        ),
        spec,
        max(options.parallel),
        [model for model in (policy, reward) if model is not None],
        longest,
    )
    if options.cells == "own" and not settings.streams:
        slots = min(MAX_BRANCHES, max(options.parallel) * search.branches(options.width))
        settings = replace(settings, context=longest, max_branches=slots, streams=True)
    elif options.cells == "shared" and settings.streams:
        cells = settings.context * settings.max_branches
        settings = replace(settings, context=cells, streams=False)
    inside, decode = [0.0], llama.llama_decode

    def timed(context: object, batch: object) -> int:
        started = time.perf_counter()
        code: int = decode(context, batch)
        inside[0] += time.perf_counter() - started
        return code

    def solve(models: Models, problem: Problem) -> Answer:
        return build(spec, models.policy, models.scorer()).solve(problem, 0)

    llama.llama_decode = timed
    with open_models(policy, reward, settings, paths=paths, step_tokens=spec.step_tokens) as models:
        solve(models, problems[0])
        started = time.perf_counter()
        alone = [solve(models, problem) for problem in problems[: options.alone]]
        single = report("one at a time", alone, time.perf_counter() - started)
        for parallel in options.parallel:
            with Scheduler(*models.engines, branches=parallel * paths) as scheduler:
                inside[0] = 0.0
                started = time.perf_counter()
                jobs = [
                    scheduler.submit(
                        lambda *views, problem=problem: solve(models.over(views), problem),
                        width=paths,
                    )
                    for problem in problems
                ]
                list(scheduler.run())
                seconds = time.perf_counter() - started
                counters, *_ = scheduler.counters()
            answers = [job.result() for job in jobs]
            together = report(f"{parallel} at once", answers, seconds)
            same = sum(a.text == b.text for a, b in zip(alone, answers, strict=False))
            print(
                f"  ratio {together / single:.2f}; in llama_decode {inside[0] / seconds:.3f}; "
                f"{same} of {len(alone)} answers the same; {counters.calls} calls, "
                f"{counters.shared_tokens} prompt tokens shared"
            )


def report(name: str, answers: list[Answer], seconds: float) -> float:
    """Print and return questions a minute."""
    tokens = sum(answer.usage.decode_tokens for answer in answers)
    rate = 60 * len(answers) / seconds
    print(f"{name}: {rate:.2f} questions/min, {tokens / seconds:.1f} tok/s, {seconds:.1f} s")
    return rate


if __name__ == "__main__":
    main()
