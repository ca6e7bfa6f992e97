"""What a judge of the policy's own costs: seconds and memory beside the policy alone.

    python tests/benchmarks/judge_cost.py --policy P.gguf --threads 2

Eight answers to one question are sampled again and again, by turns from a policy whose steps
nobody scores and from one that reads its states and scores them; tokens are the same. Printed are
the median of the paired differences in time with the middle half, and the peak of resident memory
of one process each. The heads are random: what they cost does not depend on what they say.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.random import default_rng

from convert.artifact import Artifact
from convert.self_judge import JudgeProtocol
from methods.baseline import SampleVote
from methods.judge_features import NAMES
from methods.judges import scorer_of
from methods.problem import Problem
from methods.self_scorer import Judge
from profiles.judge.command import default_layers
from profiles.run.memory import peak_rss_bytes
from runtime.engine import Engine, Sampling
from runtime.load import describe_model, open_engine
from runtime.options import EngineOptions

HIDDEN = 16  # as in a fit, whose module would load torch
QUESTION = Problem("0", "Mia bakes 6 trays of 8 rolls and sells 20 of them. How many are left?")


def random_judge(policy: Artifact) -> Judge:
    """Heads of the shape that a fit has."""
    layers = tuple(default_layers(policy))
    draw = default_rng(0)
    width = len(layers) * policy.shape.hidden
    tensors = {
        "probe.weight": draw.normal(size=(2 * HIDDEN, width)),
        "features.weight": draw.normal(size=(HIDDEN, len(NAMES))),
        "features.bias": draw.normal(size=HIDDEN),
        "out.weight": draw.normal(size=HIDDEN),
        "out.bias": draw.normal(size=1),
    }
    heads = {name: (0.01 * values).astype(np.float32) for name, values in tensors.items()}
    hidden = policy.shape.hidden
    protocol = JudgeProtocol(policy.source, policy.level, hidden, layers, "layers", 0, 0, 0.5)
    return Judge(layers=layers, weight=heads["probe.weight"], protocol=protocol, tensors=heads)


def opened(options: argparse.Namespace, *, judged: bool) -> Engine:
    """The policy, with or without a judge."""
    policy = describe_model(options.policy)
    engine = EngineOptions(
        device="cpu", threads=options.threads, context=4096, max_branches=2 * options.paths + 2
    )
    return open_engine(policy.path, engine, probe=random_judge(policy) if judged else None)


def seconds(engine: Engine, options: argparse.Namespace, seed: int) -> float:
    """Of one vote, its scores included."""
    scorer = scorer_of("self" if engine.probe else None, engine, None)
    sampling = Sampling(1.0, max_tokens=options.tokens)
    vote = SampleVote(engine, scorer, options.paths, sampling, "majority", elicit=False)
    return vote.solve(QUESTION, seed).latency_s


def main() -> None:
    """Time by turns, then ask two processes for their memory."""
    options = _options()
    if options.memory:
        with opened(options, judged=options.memory == "judged") as engine:
            for seed in range(2):
                seconds(engine, options, seed)
            print(peak_rss_bytes())
        return
    with opened(options, judged=False) as plain, opened(options, judged=True) as judged:
        pairs = []
        for seed in range(-1, options.rounds):
            order = (plain, judged) if seed % 2 else (judged, plain)
            took = {id(engine): seconds(engine, options, max(seed, 0)) for engine in order}
            pairs.append((took[id(plain)], took[id(judged)]))
    shares = [(b - a) / a for a, b in pairs[1:]]  # the first one warms up
    low, middle, high = statistics.quantiles(shares, n=4)
    base = statistics.median(a for a, _ in pairs[1:])
    print(f"{base:.2f} s a vote; the judge adds {100 * middle:+.2f} % "
          f"(middle half {100 * low:+.2f} to {100 * high:+.2f})")  # fmt: skip
    peaks = {kind: _peak(kind) for kind in ("plain", "judged")}
    more = (peaks["judged"] - peaks["plain"]) / 1e6
    print(f"peak {peaks['plain'] / 1e6:.0f} MB alone, {more:+.1f} MB with the judge")


def _peak(kind: str) -> int:
    command = [sys.executable, *sys.argv, "--memory", kind]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _options() -> argparse.Namespace:
    p = argparse.ArgumentParser()
    p.add_argument("--policy", type=Path, required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--paths", type=int, default=8)
    p.add_argument("--tokens", type=int, default=96)
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--memory", choices=("plain", "judged"))
    return p.parse_args()


if __name__ == "__main__":
    main()
