"""Importance matrices: mean squared activations of the input of every weight."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from convert.gguf_header import read_header
from convert.refusal import Refusal

SUMS = ".in_sum2"
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ImportanceMatrix:
    """Mean squared input activations by weight name."""

    importance: dict[str, Floats]  # each (columns of the weight,)
    dataset: str
    chunks: int


def read_imatrix(path: Path) -> ImportanceMatrix:
    """Read a GGUF importance matrix, or the older binary form.

    Raises:
        Refusal: if the file is neither, or holds values that are not finite.
    """
    with path.open("rb") as file:
        legacy = file.read(4) != b"GGUF"
    matrix = _read_legacy(path) if legacy else _read_gguf(path)
    bad = [name for name, values in matrix.importance.items() if not np.isfinite(values).all()]
    if bad or not matrix.importance:
        what = f"values of {bad[0]} are not finite" if bad else "no entries"
        raise Refusal(f"{path} is not a usable importance matrix: {what}")
    return matrix


def _read_gguf(path: Path) -> ImportanceMatrix:
    header = read_header(path)
    tensors = {t.name: t for t in header.tensors}
    importance = {}
    for name in (n.removesuffix(SUMS) for n in tensors if n.endswith(SUMS)):
        if f"{name}.counts" not in tensors:
            raise Refusal(f"{path} is not an importance matrix: {name} has no counts")
        counts = header.read_float32(tensors[f"{name}.counts"]).reshape(-1, 1)
        sums = header.read_float32(tensors[name + SUMS]).reshape(len(counts), -1)
        mean = sums / np.maximum(counts, 1)
        importance[name] = np.where(counts > 0, mean, np.float32(1)).reshape(-1)
    datasets = header.values.get("imatrix.datasets") or [""]
    dataset = datasets[0] if isinstance(datasets, list) else ""
    return ImportanceMatrix(importance, dataset, header.values.get("imatrix.chunk_count", 0))


def _read_legacy(path: Path) -> ImportanceMatrix:
    data, at = path.read_bytes(), 0

    def take(count: int) -> bytes:
        nonlocal at
        if count < 0 or at + count > len(data):
            raise Refusal(f"{path} is not an importance matrix, or was cut short")
        at += count
        return data[at - count : at]

    importance: dict[str, Floats] = {}
    (entries,) = struct.unpack("<i", take(4))
    for _ in range(entries):
        (length,) = struct.unpack("<i", take(4))
        name = take(length).decode("utf-8", "replace")
        calls, columns = struct.unpack("<ii", take(8))
        importance[name] = np.frombuffer(take(4 * columns), np.float32) / np.float32(max(calls, 1))
    chunks = struct.unpack("<i", take(4))[0] if at < len(data) else 0
    return ImportanceMatrix(importance, "", chunks)
