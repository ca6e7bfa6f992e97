"""Time and peak memory of `convert` on a random checkpoint, beside llama.cpp's own two steps.

    python tests/benchmarks/convert_speed.py FOLDER [--shape 1b] [--layers 22] [--quant q4_k_m ...]
    python tests/benchmarks/convert_speed.py FOLDER --alone --format onnx --quant int4

FOLDER takes the checkpoint, in bfloat16 (2.2 or 14.5 GB), our results, and unless `--alone` an f16
file and a result of `llama_model_quantize`, with which ours is compared byte for byte. Memory is
that of the command and its child together: resident pages, and of these those of no mapped file.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from convert.levels import LEVELS

REFERENCE = Path(__file__).parents[2] / "convert" / "reference" / "policy"
LAYERS_PER_SHARD = 11
INTERVAL_S = 0.1
QUANTIZE = """
import ctypes, sys
import llama_cpp.llama_cpp as llama
silent = llama.llama_log_callback(lambda *_: None)
llama.llama_log_set(silent, None)
parameters = llama.llama_model_quantize_default_params()
parameters.ftype = int(sys.argv[3])
names = sys.argv[1].encode(), sys.argv[2].encode()
sys.exit(llama.llama_model_quantize(*names, ctypes.byref(parameters)))
"""
Tensors = list[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a Mistral."""

    layers: int
    hidden: int
    feed_forward: int
    kv: int  # rows of keys
    heads: int = 32
    vocab: int = 32000


SHAPES = {"1b": Sizes(22, 2048, 5632, 256), "7b": Sizes(32, 4096, 14336, 1024)}


def layer(i: int, sizes: Sizes) -> Tensors:
    """Tensors of one layer."""
    at, hidden, wide = f"model.layers.{i}.", sizes.hidden, sizes.feed_forward
    return [
        (f"{at}input_layernorm.weight", (hidden,)),
        (f"{at}self_attn.q_proj.weight", (hidden, hidden)),
        (f"{at}self_attn.k_proj.weight", (sizes.kv, hidden)),
        (f"{at}self_attn.v_proj.weight", (sizes.kv, hidden)),
        (f"{at}self_attn.o_proj.weight", (hidden, hidden)),
        (f"{at}post_attention_layernorm.weight", (hidden,)),
        (f"{at}mlp.gate_proj.weight", (wide, hidden)),
        (f"{at}mlp.up_proj.weight", (wide, hidden)),
        (f"{at}mlp.down_proj.weight", (hidden, wide)),
    ]


def shards(sizes: Sizes) -> Iterator[Tensors]:
    """Tensors of every file."""
    table = (sizes.vocab, sizes.hidden)
    for start in range(0, sizes.layers, LAYERS_PER_SHARD):
        stop = min(start + LAYERS_PER_SHARD, sizes.layers)
        found = [tensor for i in range(start, stop) for tensor in layer(i, sizes)]
        if start == 0:
            found.insert(0, ("model.embed_tokens.weight", table))
        if stop == sizes.layers:
            found += [("model.norm.weight", (sizes.hidden,)), ("lm_head.weight", table)]
        yield found


def write_shard(path: Path, tensors: Tensors, values: np.ndarray) -> None:
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


def write_checkpoint(folder: Path, sizes: Sizes) -> None:
    """Config, tokenizer, shards and their index."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.feed_forward,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv * sizes.heads // sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "vocab_size": sizes.vocab,
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
    parts = list(shards(sizes))
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
    """Seconds, seconds of processors, and peak bytes of a command."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
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
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_s": round(sum(after[:2]) - sum(before[:2]), 1),
        "peak_rss_bytes": peak[0],
        "peak_private_bytes": peak[1],
    }


def two_steps(source: Path, out: Path, ours: Path, levels: list[str]) -> dict[str, object]:
    """Export to f16, then llama.cpp's quantizer for each level; its files are ours."""
    export = measure(
        [sys.executable, "-m", "convert", str(source), "--quant", "f16", "-o", str(out)]
    )
    f16, direct = out / f"{source.name}-f16.gguf", out / "direct.gguf"
    quantizer = {}
    for level in levels:
        command = [sys.executable, "-c", QUANTIZE, str(f16), str(direct), str(LEVELS[level].ftype)]
        quantizer[level] = measure(command)
        if not filecmp.cmp(direct, ours / f"{source.name}-{level}.gguf", shallow=False):
            sys.exit(f"{level} differs")
        direct.unlink()
    return {"export": export, "llama_model_quantize": quantizer}


def main() -> None:
    """Make the checkpoint where it is missing, convert it, print one JSON line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument("--shape", choices=SHAPES, default="1b")
    p.add_argument("--layers", type=int)
    p.add_argument("--format", default="gguf")
    p.add_argument("--quant", nargs="+", default=["q4_k_m"])
    p.add_argument("--alone", action="store_true", help="without llama.cpp's own steps")
    options = p.parse_args()
    sizes = SHAPES[options.shape]
    sizes = replace(sizes, layers=options.layers or sizes.layers)
    source = options.folder / f"random-{options.shape}-{sizes.layers}-layers"
    if not (source / "model.safetensors.index.json").exists():
        shutil.rmtree(source, ignore_errors=True)
        write_checkpoint(source, sizes)
    ours, theirs = options.folder / "ours", options.folder / "theirs"
    shutil.rmtree(ours, ignore_errors=True)
    shutil.rmtree(theirs, ignore_errors=True)
    command = [sys.executable, "-m", "convert", str(source), "--format", options.format]
    found: dict[str, object] = {"checkpoint_bytes": sum(f.stat().st_size for f in source.iterdir())}
    found |= measure([*command, "-o", str(ours), "--quant", *options.quant])
    if not options.alone:
        found |= two_steps(source, theirs, ours, options.quant)
    print(json.dumps({"shape": options.shape, "levels": options.quant} | found))


if __name__ == "__main__":
    main()
