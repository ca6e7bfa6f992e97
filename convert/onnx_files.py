"""The files of an ONNX model, by name."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".onnx"
TOKENIZER_SUFFIX = ".tokenizer.json"


def data_path(path: Path) -> Path:
    """The weights of a graph: `policy-int4.onnx.data`."""
    return path.with_name(path.name + ".data")


def cuda_path(path: Path) -> Path:
    """The graph over the same weights that computes in float16, as attention on CUDA does."""
    return path.with_name(path.name.removesuffix(SUFFIX) + ".cuda.onnx")


def model_files(path: Path) -> list[Path]:
    """What a model consists of: one file, or a graph and its weights."""
    return [path, data_path(path)] if path.name.endswith(SUFFIX) else [path]
