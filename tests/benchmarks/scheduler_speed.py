"""Greedy answers a minute, many questions at once against one at a time, in one run.

    python tests/benchmarks/scheduler_speed.py MODEL.gguf --data gsm8k.jsonl --questions 32

Both see the same questions; the single ones are a subset, since they take as long as it says.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import llama_cpp.llama_cpp as llama

from methods.build import MethodSpec, build
from methods.candidate import Answer
from methods.problem import Problem, read_problems
from runtime.engine import Engine
from runtime.load import EngineOptions, open_engine
from runtime.scheduler import Scheduler

BENCHMARK = Path(__file__).parents[2] / "convert" / "reference" / "benchmark.jsonl"
Solve = Callable[[Engine, Problem], Answer]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, default=BENCHMARK)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--alone", type=int, default=8, help="of them, one at a time")
    parser.add_argument("--parallel", type=int, nargs="+", default=[32])
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one-cache", dest="streams", action="store_false")
    options = parser.parse_args()
    problems = read_problems(options.data, options.questions)
    spec = MethodSpec("greedy", max_tokens=options.max_tokens)
    cells, slots = 256 + options.max_tokens, max(options.parallel) + 6
    settings = EngineOptions(
        device=options.device,
        context=cells if options.streams else cells * slots,
        max_branches=slots,
        threads=options.threads,
        streams=options.streams,
    )
    inside, decode = [0.0], llama.llama_decode

    def timed(context: object, batch: object) -> int:
        started = time.perf_counter()
        code: int = decode(context, batch)
        inside[0] += time.perf_counter() - started
        return code

    llama.llama_decode = timed
    with open_engine(options.model, settings) as engine:

        def solve(view: Engine, problem: Problem) -> Answer:
            return build(spec, view, None).solve(problem, 0)

        solve(engine, problems[0])
        started = time.perf_counter()
        alone = [solve(engine, problem) for problem in problems[: options.alone]]
        single = report("one at a time", alone, time.perf_counter() - started)
        for parallel in options.parallel:
            with Scheduler(engine, branches=parallel) as scheduler:
                inside[0] = 0.0
                started = time.perf_counter()
                jobs = [
                    scheduler.submit(lambda view, problem=problem: solve(view, problem))
                    for problem in problems
                ]
                list(scheduler.run())
                seconds = time.perf_counter() - started
                (counters,) = scheduler.counters()
            answers = [job.result() for job in jobs]
            together = report(f"{parallel} at once", answers, seconds)
            same = sum(a.text == b.text for a, b in zip(alone, answers, strict=False))
            print(
                f"  ratio {together / single:.2f}; in llama_decode {inside[0] / seconds:.3f}; "
                f"{same} of {len(alone)} answers the same; {counters.calls} calls, "
                f"{counters.shared_tokens} prompt tokens shared, most cells {counters.cells}"
            )


def report(name: str, answers: list[Answer], seconds: float) -> float:
    """Print and return questions a minute."""
    tokens = sum(answer.usage.decode_tokens for answer in answers)
    rate = 60 * len(answers) / seconds
    print(f"{name}: {rate:.2f} questions/min, {tokens / seconds:.1f} tok/s, {seconds:.1f} s")
    return rate


if __name__ == "__main__":
    main()
