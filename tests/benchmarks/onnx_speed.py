"""Speed of the ONNX engine against transformers' own `generate` in float32, on the same cores.

    python tests/benchmarks/onnx_speed.py CHECKPOINT --folder /tmp/onnx-speed
    python tests/benchmarks/onnx_speed.py --random --folder /tmp/onnx-speed   # SmolLM2-135M's shape

Both continue one prompt on several rows, sampling at temperature 1; rounds alternate, figures are
medians. `own share` is the part of the decode time outside onnxruntime, with and without sampling.
OpenMP threads wait passively, so that torch loses nothing where a core is shared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import torch
import transformers

from convert.ensure import ensure
from runtime.engine import Engine, Sampling
from runtime.load import EngineOptions, open_engine

PROMPT, TOKENS = 128, 32
TOKENIZER = Path(__file__).parents[2] / "convert" / "reference" / "policy"


def random_checkpoint(folder: Path) -> Path:
    """Random weights in the shape of SmolLM2-135M; speed does not depend on their values."""
    path = folder / "random-135m"
    if not path.exists():
        torch.manual_seed(0)
        config = transformers.LlamaConfig(
            vocab_size=49152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
            tie_word_embeddings=True,
        )
        transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
        for file in TOKENIZER.glob("tokenizer*"):
            shutil.copy(file, path)
    return path


class Timed:
    """A session that adds up the time spent in it."""

    def __init__(self, session: Any) -> None:
        self._session, self.seconds = session, 0.0

    def run_with_iobinding(self, binding: Any) -> None:
        started = time.perf_counter()
        self._session.run_with_iobinding(binding)
        self.seconds += time.perf_counter() - started


def engine_speed(engine: Engine, rows: int) -> dict[str, float]:
    """Prefill and decode in tokens per second, and the share of the time outside onnxruntime."""
    engine.tokenizer.eos_ids = frozenset()
    before, started = engine.usage, time.perf_counter()
    with engine.open(list(range(3, 3 + PROMPT))) as root:
        prefill_s = time.perf_counter() - started
        branches = engine.fork(root, rows)
        timed = getattr(engine, "_session", None)
        inside = timed.seconds if isinstance(timed, Timed) else 0.0
        started = time.perf_counter()
        engine.extend(branches, Sampling(max_tokens=TOKENS))
        decode_s = time.perf_counter() - started
        inside = timed.seconds - inside if isinstance(timed, Timed) else 0.0
    decoded = (engine.usage - before).decode_tokens
    return {
        "prefill": PROMPT / prefill_s,
        "decode": decoded / decode_s,
        "own": 1 - inside / decode_s,
        "own without sampling": 1 - (inside + (engine.usage - before).sampling_s) / decode_s,
    }


def torch_speed(model: Any, rows: int) -> dict[str, float]:
    """The same work with `generate`: the prompt's time is that of a call for one token."""
    prompt = torch.arange(3, 3 + PROMPT)[None].repeat(rows, 1)
    options = {"do_sample": True, "pad_token_id": 0, "eos_token_id": None, "use_cache": True}
    seconds = {}
    for new in (1, 1 + TOKENS):
        started = time.perf_counter()
        with torch.inference_mode():
            model.generate(prompt, max_new_tokens=new, min_new_tokens=new, **options)
        seconds[new] = time.perf_counter() - started
    decode_s = seconds[1 + TOKENS] - seconds[1]
    return {"prefill": rows * PROMPT / seconds[1], "decode": rows * TOKENS / decode_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", type=Path)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--levels", nargs="+", default=["fp32", "fp16", "int8", "int4"])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    source = random_checkpoint(options.folder) if options.random else options.checkpoint
    torch.set_num_threads(options.threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    engines: dict[str, Any] = {}
    settings = EngineOptions(device="cpu", threads=options.threads)
    for level in options.levels:
        path = ensure(str(source), level, options.folder, "policy").path
        engines[level] = open_engine(path, settings)
        if hasattr(engines[level], "_session"):
            engines[level]._session = Timed(engines[level]._session)
    print("| rows | what | prefill tok/s | decode tok/s | to generate | own share | w/o sampling |")
    print("|---|---|---|---|---|---|---|")
    for rows in options.rows:
        found: dict[str, list[dict[str, float]]] = {"transformers fp32": []}
        for _ in range(options.rounds):
            found["transformers fp32"].append(torch_speed(model, rows))
            for level, engine in engines.items():
                found.setdefault(level, []).append(engine_speed(engine, rows))
        base = statistics.median(x["decode"] for x in found["transformers fp32"])
        for what, runs in found.items():
            middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            ratio = middle["decode"] / base
            shares = [middle.get(key) for key in ("own", "own without sampling")]
            own = " | ".join("-" if share is None else f"{share:.1%}" for share in shares)
            print(
                f"| {rows} | {what} | {middle['prefill']:.0f} | {middle['decode']:.1f} | "
                f"{ratio:.2f} | {own} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
