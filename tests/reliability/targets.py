"""What is damaged: every kind of file that a command reads, and a good installation of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.reliability import mutate

ROOT = Path(__file__).parents[2]
QUESTION = "Ann has 2 pens and buys 3 more. How many pens does Ann have?"
SOLVE = ["--device", "cpu", "--threads", "1", "--method", "greedy", "--max-tokens", "8", QUESTION]
RUN = ["--methods", "greedy", "--limit", "2", "--device", "cpu", "--max-tokens", "8"]
Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A file to damage, and the commands that read it. `vouched`: manifests follow the damage."""

    name: str
    file: str
    mutator: mutate.Mutator
    commands: tuple[Command, ...]
    vouched: str = ""  # the model whose manifest is made to fit, half of the time
    weight: int = 10


def _solve(*arguments: str) -> Command:
    return ("solve", *arguments, *SOLVE)


def _convert(*arguments: str) -> Command:
    return ("convert", *arguments, "-o", "out")


FOLDER = (
    _convert("policy", "--quant", "q8_0"),
    _convert("policy", "--quant", "f32", "--dry-run"),
    _convert("policy", "--quant", "int8", "--format", "onnx"),
    _solve("--policy", "policy"),
)
BARE = (
    _solve("--policy", "bare.gguf"),
    _convert("bare.gguf", "--quant", "q4_0"),
    _convert("bare.gguf", "--quant", "q4_0", "--dry-run"),
)
ONNX = (_solve("--policy", "policy-int4.onnx"),)
THINK = (_solve("--policy", "thinker-q4_0.gguf", "--think", "on"),)
REPORT = (("profile", "report", "report"), ("profile", "report", "report", "--json"))
TARGETS = (
    Target("GGUF", "bare.gguf", mutate.gguf, BARE, weight=60),
    Target("GGUF with a manifest", "policy-q4_k_m.gguf.manifest.json", mutate.text, (
        _solve("--policy", "policy-q4_k_m.gguf"),)),
    Target("GGUF that is vouched for", "policy-q4_k_m.gguf", mutate.gguf, (
        _solve("--policy", "policy-q4_k_m.gguf"),), weight=5),
    Target("safetensors", "policy/model.safetensors", mutate.safetensors, FOLDER, weight=25),
    Target("config.json", "policy/config.json", mutate.text, FOLDER, weight=40),
    Target("tokenizer.model", "policy/tokenizer.model", mutate.raw, FOLDER),
    Target("tokenizer.json", "bpe/tokenizer.json", mutate.text, (
        _convert("bpe", "--quant", "q8_0"), _solve("--policy", "bpe"))),
    Target("tokenizer_config.json", "policy/tokenizer_config.json", mutate.text, FOLDER),
    Target("protocol.json", "policy/protocol.json", mutate.text, FOLDER),
    Target("reward protocol.json", "reward/protocol.json", mutate.text, (
        _convert("reward", "--quant", "q8_0"),)),
    Target("thinker", "thinker/model.safetensors", mutate.safetensors, (
        _convert("thinker", "--quant", "q8_0"),)),
    Target("heads", "heads", mutate.safetensors, THINK, vouched="thinker-q4_0.gguf"),
    Target("ONNX graph", "policy-int4.onnx", mutate.raw, ONNX, vouched="policy-int4.onnx"),
    Target("ONNX weights", "policy-int4.onnx.data", mutate.raw, ONNX, vouched="policy-int4.onnx"),
    Target("ONNX tokenizer", "tokenizer", mutate.text, ONNX, vouched="policy-int4.onnx"),
    Target("ONNX manifest", "policy-int4.onnx.manifest.json", mutate.text, ONNX),
    Target("imatrix", "imatrix.gguf", mutate.gguf, (
        _convert("policy", "--quant", "q2_k", "--imatrix", "imatrix.gguf"),)),
    Target("older imatrix", "imatrix.dat", mutate.raw, (
        _convert("policy", "--quant", "q2_k", "--imatrix", "imatrix.dat"),)),
    Target("questions", "problems.jsonl", mutate.lines, (
        ("profile", "run", "--policy", "policy-q4_k_m.gguf", "--data", "problems.jsonl",
         "-o", "out", *RUN),), weight=6),
    Target("records", "records", mutate.lines, (
        *REPORT, ("profile", "run", "--resume", "-o", "report", "--policy", "policy-q4_k_m.gguf",
                  "--data", "problems.jsonl", *RUN)), weight=15),
    Target("configuration", "configuration", mutate.text, REPORT),
    Target("process", "process", mutate.text, REPORT),
    Target("run.json", "report/run.json", mutate.text, REPORT),
    Target("summary.json", "report/summary.json", mutate.text, (
        ("profile", "recommend", "report"),)),
    Target("search", "search.json", mutate.text, (("profile", "tree", "search.json"),)),
)  # fmt: skip


def prepare(base: Path) -> None:
    """A good installation: sources, models, a run, a search."""
    reference = ROOT / "convert" / "reference"
    for name in ("policy", "reward", "thinker"):
        shutil.copytree(reference / name, base / name)
    shutil.copytree(reference / "policy", base / "bpe", ignore=_without("tokenizer.model"))
    rows = (reference / "benchmark.jsonl").read_bytes().splitlines(keepends=True)[:12]
    (base / "problems.jsonl").write_bytes(b"".join(rows))
    (base / "text").write_text("Step 1: 3 + 4 = 7. " * 200, encoding="utf-8")
    local = ["-o", "."]
    _good(base, "convert", "policy", "--quant", "q4_k_m", *local)
    _good(base, "convert", "policy", "--quant", "int4", "--format", "onnx", *local)
    _good(base, "convert", "thinker", "--quant", "q4_0", *local)
    _good(base, "convert", "policy", "--quant", "q2_k", "--calibrate", "text", *local)
    shutil.copy(base / "policy-q4_k_m.gguf", base / "bare.gguf")
    (base / "policy.imatrix.gguf").rename(base / "imatrix.gguf")
    _older_imatrix(base)
    policy = ["--policy", "policy-q4_k_m.gguf"]
    _good(base, "profile", "run", *policy, "--data", "problems.jsonl", "-o", "report", *RUN)
    _good(base, "solve", *policy, "--reward", "reference:reward", "--tree", "search.json", QUESTION)


def _without(name: str) -> Callable[[str, list[str]], list[str]]:
    return lambda _folder, names: [n for n in names if n == name]


def _good(base: Path, *command: str) -> None:
    script = Path(sys.executable).with_name(command[0])
    subprocess.run([script, *command[1:]], cwd=base, check=True, capture_output=True)


def _older_imatrix(base: Path) -> None:
    """The same matrix in the form that llama-imatrix wrote until 2025."""
    import struct

    from convert.imatrix import read_imatrix

    entries = read_imatrix(base / "imatrix.gguf").importance
    data = struct.pack("<i", len(entries))
    for name, values in entries.items():
        data += struct.pack("<i", len(name)) + name.encode()
        data += struct.pack("<ii", 1, values.size) + values.tobytes()
    (base / "imatrix.dat").write_bytes(data)


def real_file(target: Target, case: Path) -> Path:
    """The file of a target, where its name is not known beforehand."""
    patterns = {
        "heads": "thinker-*.heads.safetensors",
        "tokenizer": "policy-*.tokenizer.json",
        "records": "report/records/*.jsonl",
        "configuration": "report/records/*-1.json",
        "process": "report/records/*.process.json",
    }
    found = patterns.get(target.file, target.file)
    return next(iter(sorted(case.glob(found))))
