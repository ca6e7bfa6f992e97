"""How much of REBASE's wall time is spent inside llama_decode.

    python tests/benchmarks/rebase_overhead.py MODEL.gguf

The model is policy and reward model at once, on two engines; its scores mean nothing, its work is
real. Use one of 100 M parameters or more.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama

from convert.artifact import PromptFormat, RewardProtocol
from methods.build import MethodSpec, build
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from runtime.load import EngineOptions, open_engine

QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20 of them. How many rolls are left?"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    inside, decode = [0.0], llama.llama_decode

    def timed(context: Any, batch: Any) -> int:
        started = time.perf_counter()
        code: int = decode(context, batch)
        inside[0] += time.perf_counter() - started
        return code

    llama.llama_decode = timed
    settings = EngineOptions(device="cpu", context=4096, threads=options.threads)
    with (
        open_engine(options.model, settings) as policy,
        open_engine(options.model, settings) as reward,
    ):
        good, bad = (reward.tokenizer.encode_more(text)[-1] for text in (" +", " -"))
        protocol = RewardProtocol("token_logits", "\n", good_id=good, bad_id=bad)
        reward.artifact = replace(reward.artifact, reward=protocol)
        policy.artifact = replace(policy.artifact, prompt=PromptFormat("{question}\n", "\n"))
        scorer = ProcessRewardScorer(reward, "\n")
        spec = MethodSpec("rebase", options.width, max_tokens=128, step_tokens=32)
        answer = build(spec, policy, scorer).solve(Problem("0", QUESTION), seed=0)
    tokens = answer.usage.tokens + answer.scorer_usage.tokens
    print(f"wall {answer.latency_s:.2f} s, in llama_decode {inside[0]:.2f} s, {tokens} tokens, ")
    print(f"share {inside[0] / answer.latency_s:.4f}")


if __name__ == "__main__":
    main()
