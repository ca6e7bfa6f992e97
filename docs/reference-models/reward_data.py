r"""Sample the policy's solutions of training problems and label their steps.

python reward_data.py policy --problems 9600 --start 0 --seed 1 > sampled-0.jsonl
python reward_data.py policy --problems 400 --split reward-validation --samples 8 \
    --steps 3456 > validation.jsonl
"""

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from grading import label_steps
from problems import Problem, draw
from rollouts import Decoder, sample
from sentencepiece import SentencePieceProcessor
from transformers import MistralForCausalLM

POOL = 2048  # problems sorted by length together
ROWS = 256  # solutions decoded together
STRIDE = 40  # indices of the split set aside for each problem, as long ones are rare


def balanced(split: str, start: int, count: int, steps: Sequence[int]) -> list[Problem]:
    """Problems whose numbers of steps are drawn from `steps`, all entries equally likely."""
    wanted: dict[int, list[int]] = defaultdict(list)
    for i in range(count):
        wanted[random.Random(f"{split}-lengths:{start + i}").choice(steps)].append(i)
    found: dict[int, Problem] = {}
    index = start * STRIDE
    while len(found) < count:
        problem = draw(split, index)
        places = wanted[len(problem.steps)]
        if places:
            found[places.pop()] = problem
        index += 1
    return [found[i] for i in range(count)]


def record(problem: Problem, solutions: list[str]) -> dict[str, object]:
    return {
        "question": problem.question,
        "gold": problem.sentences(),
        "values": problem.values,
        "solutions": solutions,
        "labels": [label_steps(solution, problem.values) for solution in solutions],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("--split", default="reward-sampled")
    parser.add_argument("--start", type=int, default=0, help="the first problem's number")
    parser.add_argument("--problems", type=int, required=True)
    parser.add_argument("--samples", type=int, default=4, help="for each problem")
    parser.add_argument("--steps", default="233344455566", help="lengths, equally likely")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    decoder = Decoder(MistralForCausalLM.from_pretrained(options.policy))
    pieces = SentencePieceProcessor(model_file=str(options.policy / "tokenizer.model"))
    steps, end = [int(digit) for digit in options.steps], options.start + options.problems
    for start in range(options.start, end, POOL):
        pool = balanced(options.split, start, min(POOL, end - start), steps)
        pool.sort(key=lambda problem: (len(problem.steps), len(problem.question)))
        for first in range(0, len(pool), ROWS // options.samples):
            some = pool[first : first + ROWS // options.samples]
            questions = [problem.question for problem in some]
            answers = sample(decoder, pieces, questions, options.samples)
            for problem, solutions in zip(some, answers, strict=True):
                line = json.dumps(record(problem, solutions), ensure_ascii=False)
                sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
