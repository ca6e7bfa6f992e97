"""What the paper's tree search really does: depths, markers, and who would have won.

    python tests/benchmarks/paper_trees.py --policy POLICY.gguf --reward REWARD.gguf

Runs REBASE by the paper's code on the paper's kind of draw and prints, over all leaves, the share
at depth one and the share that states an answer with a marker; over all questions, the accuracy of
the leaf it picks, of a vote over the same leaves, and of an oracle. Beside it the fair trees.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

from methods.answers.reader import Reader
from methods.build import MethodSpec, build, paper_spec
from methods.candidate import Answer
from methods.problem import Problem, read_problems
from methods.scorers import ProcessRewardScorer
from methods.selection import select
from profiles.paper_suite import QUESTIONS, SHUFFLE, TOKENS
from profiles.run.worker import question_seed
from runtime.load import EngineOptions, open_engine
from runtime.options import Thinking
from runtime.prompt import prompt_format

BENCHMARK = Path("convert/reference/benchmark.jsonl")


def answers(
    spec: MethodSpec, policy: Path, reward: Path, problems: list[Problem], think: Thinking
) -> list[Answer]:
    """One tree a question."""
    options = EngineOptions(context=8192)
    with (
        open_engine(policy, replace(options, think=think)) as engine,
        open_engine(reward, options) as judge,
    ):
        scorer = ProcessRewardScorer(judge, prompt_format(engine).step_stop)
        method = build(spec, engine, scorer)
        return [method.solve(p, question_seed(0, p.id)) for p in problems]


def line(name: str, found: list[Answer], problems: list[Problem]) -> str:
    """One row of the table."""
    leaves = [leaf for answer in found for leaf in answer.candidates]
    depths = Counter(len(leaf.steps) for leaf in leaves)
    marked = sum(Reader().read(leaf.text).rule == "marker" for leaf in leaves)
    pairs = list(zip(found, problems, strict=True))
    right = sum(answer.text == p.gold for answer, p in pairs)
    votes = sum(select(answer.candidates, "majority") == p.gold for answer, p in pairs)
    oracle = sum(any(c.reading.answer == p.gold for c in answer.candidates) for answer, p in pairs)
    shares = [depths[1] / len(leaves), marked / len(leaves)]
    shares += [n / len(found) for n in (right, votes, oracle)]
    cells = [name, str(len(leaves)), *(f"{100 * share:.1f}" for share in shares)]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--reward", type=Path, required=True)
    parser.add_argument("--think", choices=("off", "on", "gated"), default="off")
    parser.add_argument("--data", type=Path, default=BENCHMARK)
    parser.add_argument("--limit", type=int, default=QUESTIONS)
    parser.add_argument("--widths", type=int, nargs="+", default=[3, 6, 16])
    options = parser.parse_args()
    problems = read_problems(options.data, options.limit, SHUFFLE)
    print("| tree | leaves | depth 1, % | marked, % | pick, % right | vote, % | oracle, % |")
    print("|---|---|---|---|---|---|---|")
    for width in options.widths:
        fair = MethodSpec("rebase", width, max_tokens=TOKENS)
        for spec in (paper_spec("rebase", width), fair):
            found = answers(spec, options.policy, options.reward, problems, options.think)
            print(line(f"{spec.protocol} w={width}", found, problems), flush=True)


if __name__ == "__main__":
    main()
