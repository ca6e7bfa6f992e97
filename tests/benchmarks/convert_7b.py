"""Time and peak memory of `convert --quant q4_k_m` on a random checkpoint of Mistral-7B's shape.

    python tests/benchmarks/convert_7b.py FOLDER [--layers 32] [--quant q4_k_m]
    python tests/benchmarks/convert_7b.py FOLDER --format onnx --quant int4

FOLDER takes the checkpoint (14.5 GB in bfloat16) and, for the time of the run, an f16 master of the
same size and the result (4.4 GB). Memory is that of the command and its child together: resident
pages, and of these the ones that are not just the mapped model file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

REFERENCE = Path(__file__).parents[2] / "convert" / "reference" / "policy"
HIDDEN, FEED_FORWARD, KV, VOCAB = 4096, 14336, 1024, 32000
LAYERS_PER_SHARD = 11
INTERVAL_S = 0.1
Shapes = list[tuple[str, tuple[int, ...]]]


def layer(i: int) -> Shapes:
    """Tensors of one layer."""
    at = f"model.layers.{i}."
    return [
        (f"{at}input_layernorm.weight", (HIDDEN,)),
        (f"{at}self_attn.q_proj.weight", (HIDDEN, HIDDEN)),
        (f"{at}self_attn.k_proj.weight", (KV, HIDDEN)),
        (f"{at}self_attn.v_proj.weight", (KV, HIDDEN)),
        (f"{at}self_attn.o_proj.weight", (HIDDEN, HIDDEN)),
        (f"{at}post_attention_layernorm.weight", (HIDDEN,)),
        (f"{at}mlp.gate_proj.weight", (FEED_FORWARD, HIDDEN)),
        (f"{at}mlp.up_proj.weight", (FEED_FORWARD, HIDDEN)),
        (f"{at}mlp.down_proj.weight", (HIDDEN, FEED_FORWARD)),
    ]


def shards(layers: int) -> Iterator[Shapes]:
    """Tensors of every file."""
    for start in range(0, layers, LAYERS_PER_SHARD):
        found = [t for i in range(start, min(start + LAYERS_PER_SHARD, layers)) for t in layer(i)]
        if start == 0:
            found.insert(0, ("model.embed_tokens.weight", (VOCAB, HIDDEN)))
        if start + LAYERS_PER_SHARD >= layers:
            ends: Shapes = [("model.norm.weight", (HIDDEN,)), ("lm_head.weight", (VOCAB, HIDDEN))]
            found += ends
        yield found


def write_shard(path: Path, tensors: Shapes, values: np.ndarray) -> None:
    """A safetensors file of normal numbers in bfloat16, a piece at a time."""
    header, end = {}, 0
    for name, shape in tensors:
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, shape in tensors:
            left = int(np.prod(shape))
            while left:
                part = values[: min(left, len(values))]
                part.tofile(file)
                left -= len(part)


def write_checkpoint(folder: Path, layers: int) -> None:
    """Config, tokenizer, shards and their index."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_hidden_layers": layers,
        "vocab_size": VOCAB,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    for path in REFERENCE.glob("tokenizer*"):
        shutil.copy(path, folder)
    normal = np.random.default_rng(0).normal(0, 0.02, 1 << 24).astype(np.float32)
    values = (normal.view(np.uint32) >> 16).astype(np.uint16)
    parts = list(shards(layers))
    index = {}
    for n, tensors in enumerate(parts, 1):
        name = f"model-{n:05}-of-{len(parts):05}.safetensors"
        write_shard(folder / name, tensors, values)
        index |= {tensor: name for tensor, _ in tensors}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def memory(process: psutil.Process) -> tuple[int, int]:
    """Resident bytes of a process and its children, and those not mapped from a file."""
    resident = private = 0
    for one in (process, *process.children(recursive=True)):
        try:
            found = one.memory_info()
        except psutil.NoSuchProcess:
            continue
        resident += found.rss
        private += found.rss - found.shared
    return resident, private


def measure(command: list[str]) -> dict[str, float]:
    """Seconds and peak bytes of a command."""
    started = time.perf_counter()
    peak = [0, 0]
    with subprocess.Popen(command) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            try:
                peak = [max(pair) for pair in zip(peak, memory(process), strict=True)]
            except psutil.NoSuchProcess:
                break
            time.sleep(INTERVAL_S)
    if child.returncode:
        sys.exit(child.returncode)
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_rss_bytes": peak[0],
        "peak_private_bytes": peak[1],
    }


def main() -> None:
    """Make the checkpoint where it is missing, convert it, print one JSON line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument("--layers", type=int, default=32)
    p.add_argument("--format", default="gguf")
    p.add_argument("--quant", default="q4_k_m")
    options = p.parse_args()
    source = options.folder / f"random-{options.layers}-layers"
    if not (source / "model.safetensors.index.json").exists():
        shutil.rmtree(source, ignore_errors=True)
        write_checkpoint(source, options.layers)
    out = options.folder / "out"
    command = [sys.executable, "-m", "convert", str(source), "--quant", options.quant]
    command += ["--format", options.format]
    found = measure([*command, "-o", str(out), "--force"])
    size = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    print(json.dumps({"layers": options.layers, "checkpoint_bytes": size} | found))


if __name__ == "__main__":
    main()
