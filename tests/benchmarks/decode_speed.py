"""Decode speed of the engine against llama-batched-bench on the same library, machine and model.

    python tests/benchmarks/decode_speed.py MODEL.gguf --tool PATH/llama-batched-bench

Both decode the same number of tokens on branches that share a prefix; runs alternate, and every
ratio is of medians. The engine samples at temperature 1, the tool does not sample at all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from pathlib import Path

from runtime.engine import Sampling
from runtime.load import EngineOptions, open_engine

PREFIX, TOKENS = 128, 32


def engine_tok_per_s(model: Path, width: int, threads: int) -> float:
    """Tokens per second of `extend` on `width` forks of one prefix, sampling included."""
    options = EngineOptions(device="cpu", context=4096, max_branches=64, threads=threads)
    with open_engine(model, options) as engine:
        engine.tokenizer.eos_ids = frozenset()  # decode to the full length, as the tool does
        words = engine.tokenizer.encode("the quick brown fox jumps over the lazy dog " * 30)
        with engine.open(words[:PREFIX]) as root:
            branches = engine.fork(root, width)
            engine.feed(branches, [[words[PREFIX]]] * width)  # warm up the graph of this batch
            before = engine.usage
            engine.extend(branches, Sampling(max_tokens=TOKENS))
            spent = engine.usage - before
    return spent.decode_tokens / (spent.decode_s + spent.sampling_s)


def tool_tok_per_s(tool: Path, model: Path, width: int, threads: int) -> float:
    """The tool's own text-generation figure with a shared prompt in a unified cache."""
    command = [str(tool), "-m", str(model), "-c", "4096", "-npp", str(PREFIX), "-ntg", str(TOKENS)]
    command += ["-npl", str(width), "-pps", "-kvu", "-t", str(threads), "-ngl", "0"]
    command += ["--output-format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return float(json.loads(lines[-1])["speed_tg"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--tool", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 4, 16, 32])
    options = parser.parse_args()
    print("| branches | engine tok/s | llama-batched-bench tok/s | ratio |\n|---|---|---|---|")
    for width in options.widths:
        ours, theirs = [], []
        for _ in range(options.rounds):
            theirs.append(tool_tok_per_s(options.tool, options.model, width, options.threads))
            ours.append(engine_tok_per_s(options.model, width, options.threads))
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"| {width} | {a:.1f} | {b:.1f} | {a / b:.3f} |", flush=True)


if __name__ == "__main__":
    main()
