"""What a thought costs, in plain decode steps, and against the uncached forward of the original.

    python tests/benchmarks/thinking_speed.py MODEL.gguf
    python tests/benchmarks/thinking_speed.py THINKER.gguf --checkpoint convert/reference/thinker

Any model will do for the first table: a random talk head costs what a trained one does. Thinking is
set against eight plain decode steps of the same batch, in the same process, by turns; both include
their sampling. With `--checkpoint`, the second table has the parallel forward that recomputes the
whole text and all its thoughts for every token, in torch, against this engine's time for one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from convert.artifact import ThoughtProtocol
from runtime.engine import Engine, Sampling
from runtime.load import EngineOptions, open_engine
from runtime.thinking_engine import ThinkingEngine

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

PREFIX, TOKENS, AHEAD = 128, 24, 8


def thinking(model: Path, threads: int) -> ThinkingEngine:
    """A thinking engine on any model; its talk head is random where it has none."""
    options = EngineOptions(device="cpu", context=4096, max_branches=64, threads=threads)
    engine = open_engine(model, options)
    engine.tokenizer.eos_ids = frozenset()  # decode to the full length
    shape, rng = engine.artifact.shape, np.random.default_rng(0)
    last = shape.vocab - 1
    engine.artifact = replace(
        engine.artifact, thought=ThoughtProtocol(start_id=last - 1, end_id=last, n_ahead=AHEAD)
    )
    sizes = [(2 * shape.hidden, shape.hidden), (shape.hidden, shape.hidden), (shape.hidden, 1)]
    layers = [rng.normal(0, a**-0.5, (a, b)).astype(np.float32) for a, b in sizes]

    def head(states: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        for layer in layers[:-1]:
            states = np.maximum(states @ layer, 0)
        return states @ layers[-1]

    return ThinkingEngine(engine, head)


def seconds_per_token(engine: Engine, width: int, prefix: int) -> float:
    """Wall time of one round of `extend` on `width` branches."""
    words = engine.tokenizer.encode("the quick brown fox jumps over the lazy dog " * 40)
    with engine.open(words[:prefix]) as root:
        branches = engine.fork(root, width)
        engine.extend(branches, Sampling(max_tokens=2))  # warm up
        started = time.perf_counter()
        engine.extend(branches, Sampling(max_tokens=TOKENS))
        return (time.perf_counter() - started) / TOKENS


def uncached_seconds(folder: Path, length: int) -> float:
    """The parallel forward over a text of `length` tokens, median of five."""
    import torch
    from thought_oracle import parallel_logits
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    hidden = model.config.hidden_size
    head = torch.nn.Linear(2 * hidden, 1)
    rng = np.random.default_rng(0)
    text = rng.integers(3, 1000, length).tolist()
    thoughts = rng.integers(3, 1000, (length, AHEAD - 3)).tolist()
    rows = torch.zeros(2, hidden)
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        parallel_logits(model, head, text, thoughts, rows)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="the same weights, for torch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 4, 16])
    options = parser.parse_args()
    print("| branches | plain ms/token | thinking ms/token | thinking / 8 plain steps |")
    print("|---|---|---|---|")
    with thinking(options.model, options.threads) as engine:
        for width in options.widths:
            plain, thought = [], []
            for _ in range(options.rounds):
                plain.append(1000 * seconds_per_token(engine.inner, width, PREFIX))
                thought.append(1000 * seconds_per_token(engine, width, PREFIX))
            a, b = statistics.median(plain), statistics.median(thought)
            print(f"| {width} | {a:.2f} | {b:.2f} | {b / a / AHEAD:.3f} |", flush=True)
        if options.checkpoint is None:
            return
        ours = seconds_per_token(engine, 1, 200 - TOKENS // 2)  # 200 tokens on average
    with thinking(options.checkpoint, options.threads) as engine:
        in_torch = seconds_per_token(engine, 1, 200 - TOKENS // 2)
    theirs = uncached_seconds(options.checkpoint, 200)
    print("\n| at 200 tokens of context | ms/token | uncached / this |\n|---|---|---|")
    for name, seconds in (("uncached", theirs), ("torch", in_torch), ("gguf", ours)):
        print(f"| {name} | {1000 * seconds:.1f} | {theirs / seconds:.1f} |")


if __name__ == "__main__":
    main()
