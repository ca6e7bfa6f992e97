"""Importance matrices: mean squared activations of the input of every weight."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from convert import bounds
from convert.files import regular
from convert.gguf_header import Entry, Header, read_header
from convert.refusal import Refusal

SUMS = ".in_sum2"
FLOAT32 = 0  # as a GGUF tensor type
CHUNKS = (0, (1 << 31) - 1)
LEGACY_BYTES = 1 << 30
TEXT_BYTES = 127  # of a text about the matrix that llama-quantize puts into a model
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
    with regular(path).open("rb") as file:
        legacy = file.read(4) != b"GGUF"
    matrix = _read_legacy(path) if legacy else _read_gguf(path)
    if not matrix.importance:
        raise Refusal(f"{path} is not a usable importance matrix: no entries")
    for name, values in matrix.importance.items():
        if not np.isfinite(values).all() or (values < 0).any():
            raise Refusal(
                f"{path} is not a usable importance matrix: values of {name} are not finite, or "
                "below 0"
            )
    return matrix


def cut(text: str) -> str:
    """A text about the matrix as a model says it; no character is halved."""
    return text.encode()[:TEXT_BYTES].decode("utf-8", "ignore")


def _read_gguf(path: Path) -> ImportanceMatrix:
    header = read_header(path)
    tensors = {t.name: t for t in header.tensors}
    importance = {}
    for name in (n.removesuffix(SUMS) for n in tensors if n.endswith(SUMS)):
        pair = [tensors.get(f"{name}{suffix}") for suffix in (".counts", SUMS)]
        if pair[0] is None or pair[1] is None:
            raise Refusal(f"{path} is not an importance matrix: {name} has no counts")
        importance[name] = _mean(header, pair[0], pair[1])
    dataset = header.values.get("imatrix.datasets") or [""]
    chunks = header.values.get("imatrix.chunk_count", 0)
    if not isinstance(dataset, list) or not isinstance(dataset[0], str):
        dataset = [""]
    return ImportanceMatrix(
        importance, dataset[0], bounds.integer(path, "imatrix.chunk_count", chunks, CHUNKS)
    )


def _mean(header: Header, counts: Entry, sums: Entry) -> Floats:
    """Sums of squares over how many tokens were summed; 1 for an expert that saw none."""
    rows = counts.elements
    if {counts.type, sums.type} != {FLOAT32} or sums.elements % rows:
        raise Refusal(
            f"{header.path} is not an importance matrix: {sums.name} is of type {sums.type} and "
            f"shape {list(sums.shape)} with {rows} counts of type {counts.type}"
        )
    seen = header.read_float32(counts).reshape(-1, 1)
    if not np.isfinite(seen).all() or (seen < 0).any():
        raise Refusal(f"{header.path} gives {counts.name} that are not finite, or below 0")
    mean = header.read_float32(sums).reshape(rows, -1) / np.maximum(seen, 1)
    return np.where(seen > 0, mean, np.float32(1)).reshape(-1)


def _read_legacy(path: Path) -> ImportanceMatrix:
    if path.stat().st_size > LEGACY_BYTES:
        raise Refusal(f"{path} is not an importance matrix: it is larger than {LEGACY_BYTES} bytes")
    data, at = path.read_bytes(), 0

    def take(count: int) -> bytes:
        nonlocal at
        if count < 0 or at + count > len(data):
            raise Refusal(f"{path} is not an importance matrix, or was cut short")
        at += count
        return data[at - count : at]

    def number() -> int:
        return int(struct.unpack("<i", take(4))[0])

    importance: dict[str, Floats] = {}
    for _ in range(number()):
        name = take(number()).decode("utf-8", "replace")
        calls, columns = number(), number()
        if not name or name in importance or columns < 1 or calls < 0:
            raise Refusal(
                f"{path} is not an importance matrix: it gives {bounds.shown(name)} {columns} "
                f"columns of {calls} calls"
            )
        importance[name] = np.frombuffer(take(4 * columns), np.float32) / np.float32(max(calls, 1))
    return ImportanceMatrix(importance, "", number() if at < len(data) else 0)
