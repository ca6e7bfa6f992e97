"""KL to full precision, and agreement of the most probable token, for levels of any format.

    python tests/benchmarks/onnx_fidelity.py [--role policy] [--levels fp16 int8 int4 q4_k_m]

Texts are worked solutions of the reference benchmark; full precision is the checkpoint in torch.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from scipy.special import log_softmax

from convert.ensure import ensure
from runtime.load import EngineOptions, open_engine

REFERENCE = Path(__file__).parents[2] / "convert" / "reference"
LEVELS = (
    *("fp32", "fp16", "int8", "int8_b128", "int4_asym", "int4", "int4_b128"),
    *("q8_0", "q4_1", "q4_0", "q4_k_m"),
)


def text(line: str) -> str:
    """A question and its solution in the policy's own form."""
    problem = json.loads(line)
    *steps, result = problem["answer"].split("\n")
    steps[-1] += " The answer is: " + result.removeprefix("#### ")
    solution = "\n".join(f"Step {k}: {step} ки" for k, step in enumerate(steps, 1))
    return f"{problem['question']}\n{solution}"


def logprobs(path: Path, texts: list[str]) -> np.ndarray:
    """(N, V) log-probabilities after every token of every text."""
    rows = []
    with open_engine(path, EngineOptions(device="cpu")) as engine:
        for one in texts:
            ids = engine.tokenizer.encode(one)
            with engine.open(ids[:1]) as root:
                rows.append(engine.feed([root], [ids[1:]], tail=len(ids) - 1).logits.copy())
    return log_softmax(np.concatenate(rows).astype(np.float64), axis=1)


def main() -> None:
    """Print one line of a table per level."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--role", choices=("policy", "reward"), default="policy")
    p.add_argument("--levels", nargs="+", default=list(LEVELS))
    p.add_argument("--texts", type=int, default=40)
    options = p.parse_args()
    lines = (REFERENCE / "benchmark.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [text(line) for line in lines[: options.texts]]
    exact = logprobs(REFERENCE / options.role, texts)
    print("| level | MB | bits per weight | mean KL, nats | same token, % |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for level in options.levels:
            made = ensure(f"reference:{options.role}", level, Path(folder))
            ours = logprobs(made.path, texts)
            kl = float((np.exp(exact) * (exact - ours)).sum(axis=1).mean())
            same = float((exact.argmax(axis=1) == ours.argmax(axis=1)).mean())
            print(
                f"| `{level}` | {made.size_bytes / 1e6:.2f} | {made.bits_per_weight:.2f} | "
                f"{kl:.1e} | {100 * same:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
