"""Measure the policy and the reward model on the benchmark.

python evaluate.py policy reward benchmark.jsonl --problems 200 --samples 8
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from grading import final_answer, gold_values
from metrics import Sampled, print_ranking, print_selection, wilson
from sample import complete, load
from score import score_steps


@contextmanager
def timed(name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policy")
    parser.add_argument("reward")
    parser.add_argument("benchmark", type=Path)
    parser.add_argument("--problems", type=int, default=200, help="to sample; greedy uses all")
    parser.add_argument("--samples", type=int, default=8)
    options = parser.parse_args()
    torch.manual_seed(2)

    rows = [json.loads(line) for line in options.benchmark.read_text().splitlines()]
    questions, gold = (
        [row["question"] for row in rows],
        [gold_values(row["answer"]) for row in rows],
    )
    policy, tokenizer = load(options.policy)
    reward, _ = load(options.reward)
    with timed("greedy"):
        greedy = complete(policy, tokenizer, questions, 0.0)
    hits = [final_answer(solution) == v[-1] for solution, v in zip(greedy, gold, strict=True)]
    print("greedy accuracy", wilson(sum(hits), len(hits)))
    for length in sorted({len(v) for v in gold}):
        group = [hit for hit, v in zip(hits, gold, strict=True) if len(v) == length]
        print(f"  {length} steps", wilson(sum(group), len(group)))

    n, k = min(options.problems, len(rows)), options.samples
    repeated = [question for question in questions[:n] for _ in range(k)]
    with timed("sampling"):
        solutions = complete(policy, tokenizer, repeated, 1.0)
    with timed("scoring"):
        scores = score_steps(reward, tokenizer, repeated, solutions)
    blocks = [slice(i * k, (i + 1) * k) for i in range(n)]
    sampled = [
        Sampled(v, solutions[block], scores[block])
        for v, block in zip(gold[:n], blocks, strict=True)
    ]
    print_selection(sampled)
    print_ranking(sampled)


if __name__ == "__main__":
    main()
