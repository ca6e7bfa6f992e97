"""REBASE on two random models of one shape: seconds a question, and memory against the plan.

    python tests/gpu/rebase.py FOLDER --shape mistral-7b --levels q4_k_m q8_0 --device cuda

Random models never end a step: every path takes steps of 32 tokens to its 128, so that the work is
the same at every level; in brackets the tokens that both models read and wrote. The paper's seconds
are of trained models, whose trees are larger or smaller.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from convert.ensure import ensure
from convert.gguf_header import read_header
from convert.units import GIB
from methods.build import MethodSpec, build
from methods.candidate import Answer
from methods.problem import read_problems
from methods.scorers import ProcessRewardScorer
from profiles.paper_suite import SYSTEMS
from runtime import devices
from runtime.engine import Engine
from runtime.engine_footprint import engine_footprint
from runtime.load import EngineOptions, describe_model, open_engine
from runtime.prompt import prompt_format
from tests.gpu.random_model import SHAPES, write

BENCHMARK = Path(__file__).parents[2] / "convert" / "reference" / "benchmark.jsonl"
PAPER_S = {s.width: s.seconds for s in SYSTEMS if s.name.startswith("REBASE w=")}
WIDTHS = tuple(PAPER_S)
TOKENS, STEP = 128, 32


def answers(
    policy: Engine, reward: Engine, width: int, limit: int, tokens: int = TOKENS
) -> list[Answer]:
    """One tree a question, after one that does not count."""
    spec = MethodSpec("rebase", width, max_tokens=tokens, step_tokens=STEP)
    method = build(spec, policy, ProcessRewardScorer(reward, prompt_format(policy).step_stop))
    first, *problems = read_problems(BENCHMARK, limit + 1)
    method.solve(first, 0)
    return [method.solve(problem, 0) for problem in problems]


def free_bytes(device: str) -> int:
    """Of all cards, by their driver; 0 on the CPU."""
    return 0 if device == "cpu" else sum(card.free_bytes for card in devices.llama_cards())


def planned_bytes(path: Path, options: EngineOptions) -> int:
    """Of a card with every layer on it, by the plan."""
    header, artifact = read_header(path), describe_model(path)
    return engine_footprint(header, artifact.shape, options).card_bytes(artifact.shape.layers + 1)


def line(folder: Path, level: str, options: argparse.Namespace) -> str:
    """One row of the table: a level on both models."""
    paths = []
    for seed, role in enumerate(("policy", "reward")):
        paths.append(folder / f"{options.shape}-{role}-{level}.gguf")
        like = ensure(f"reference:{role}", "f16", folder).path
        write(paths[-1], options.shape, level, like, seed)
    engines = EngineOptions(device=options.device, context=4096, max_branches=2 * max(WIDTHS) + 2)
    open_engine(ensure("reference:policy", "f16", folder).path, engines).close()  # the card wakes
    before = free_bytes(options.device)
    cells = [options.shape, level, f"{sum(path.stat().st_size for path in paths) / 1e9:.2f}"]
    with open_engine(paths[0], engines) as policy, open_engine(paths[1], engines) as reward:
        held = before - free_bytes(options.device)
        planned = sum(planned_bytes(path, engines) for path in paths)
        cells += [f"{planned / GIB:.2f}", f"{held / GIB:.2f}" if held else "-"]
        for width in WIDTHS:
            found = answers(policy, reward, width, options.questions, options.tokens)
            seconds = statistics.median(answer.latency_s for answer in found)
            work = statistics.median(a.usage.tokens + a.scorer_usage.tokens for a in found)
            cells.append(f"{seconds:.2f} ({work:,.0f})")
        cells.append(policy.device)
    for path in paths:
        path.unlink()
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="mistral-7b")
    parser.add_argument("--levels", nargs="+", default=["q4_k_m", "q8_0"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--questions", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of a path")
    options = parser.parse_args()
    names = [f"REBASE w={width}" for width in WIDTHS]
    head = ["shape", "level", "both files, GB", "planned, GiB", "held, GiB", *names, "where"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for level in options.levels:
        print(line(options.folder, level, options), flush=True)
    paper = [f"{seconds:.2f}" for seconds in PAPER_S.values()]
    print("| " + " | ".join(["arXiv 2412.16260, trained", *[""] * 4, *paper, "A100"]) + " |")


if __name__ == "__main__":
    main()
