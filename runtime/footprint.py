"""What the GGUF engine will take of a card and of main memory, known before it is opened."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from convert.artifact import Shape
from convert.ggml import library
from convert.mixes import IQ4_NL, Q2_K, Q4_0, Q4_K, Q5_K, Q6_K, Q8_0, TensorShape, tensor_bytes
from convert.units import GIB
from runtime.compute_buffer import compute_bytes
from runtime.gguf_context import BATCH_TOKENS, CONTEXT_STEP, KV_TYPES
from runtime.options import BATCHES, KvType

FLOAT = 4
MARGIN_BYTES = GIB  # left free on a card for the driver and the desktop
ASSUMED_COMPUTE_BYTES = GIB // 2  # of a model in a report that does not say its footprint
VOCABULARY_BYTES = 430  # of a token in llama.cpp's tables and in our tokenizer, measured
ENGINE_BYTES = 5 << 20  # of an open engine whatever its size, measured
PROCESS_BYTES = 50 << 20  # of Python with numpy and llama.cpp before a model is open, measured


@dataclass(frozen=True, slots=True)
class Load:
    """How a context is opened and what it will be asked for."""

    cells: int  # tokens of KV cache, as in `EngineOptions.context`
    branches: int  # as in `EngineOptions.max_branches`
    tokens: int  # in one call, at most
    rows: int  # of logits in one call, at most
    kv_type: KvType = "f16"
    hidden: bool = False  # hidden states are read, which makes every token of a call a row
    live: int | None = None  # cells ever in use; None: all
    batch: int = BATCHES[0]  # tokens computed at a time

    @property
    def allocated_cells(self) -> int:
        """The cells that the engine really asks for."""
        return _rounded(self.cells)

    @property
    def live_cells(self) -> int:
        """The cells that llama.cpp looks at."""
        return self.allocated_cells if self.live is None else _rounded(min(self.live, self.cells))


def _rounded(cells: int) -> int:
    return -(-cells // CONTEXT_STEP) * CONTEXT_STEP


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of one model under a load, part by part. `layers` run from the first to the last."""

    embedding: int  # always in main memory
    layers: tuple[int, ...]
    output: int  # final norm and output projection; on a card also where it is tied
    tied: bool
    repacked: tuple[int, ...]  # second copies that the CPU makes of its layers for speed
    repacked_output: int
    kv: int
    compute: int  # reserved
    compute_used: int  # of it, what a batch touches
    rows: int  # logits handed out
    tables: int  # vocabulary and engine

    @property
    def weights(self) -> int:
        """All tensors once, as in the file."""
        return self.embedding + sum(self.layers) + (0 if self.tied else self.output)

    def card_bytes(self, layers: int) -> int:
        """On a card that holds the output and the last `layers - 1` layers; 0 for none."""
        if layers == 0:
            return 0
        held = self.layers[len(self.layers) - (layers - 1) :]
        share = len(held) / len(self.layers)
        return self.output + sum(held) + int(self.kv * share) + self.compute

    def layers_that_fit(self, free_bytes: int) -> int:
        """How many layers go on a card, the output counted as one more; a margin stays free."""
        room = free_bytes - MARGIN_BYTES
        counts = range(len(self.layers) + 2)
        return max(count for count in counts if count == 0 or self.card_bytes(count) <= room)

    def ram_bytes(self, layers: int = 0) -> int:
        """In main memory while `layers` are on a card, resident at work; the process apart."""
        kept = len(self.layers) - max(0, layers - 1)
        weights = self.embedding + sum(self.layers[:kept]) + sum(self.repacked[:kept])
        if layers == 0:
            weights += self.repacked_output + (0 if self.tied else self.output)
        kv = int(self.kv * kept / len(self.layers))
        return weights + kv + (self.compute_used if kept else 0) + self.rows + self.tables


def footprint(
    tensors: Sequence[TensorShape], types: Mapping[str, int], shape: Shape, load: Load
) -> Footprint:
    """The footprint of a model from its tensors and their ggml types, by name."""
    sizes = {t.name: tensor_bytes(t, types[t.name]) for t in tensors}
    copied = {t.name: sizes[t.name] if _repacks(t, types[t.name]) else 0 for t in tensors}
    embedding = sizes.get("token_embd.weight", 0)
    tied = "output.weight" not in sizes
    rest = sum(size for name, size in sizes.items() if not name.startswith(("blk.", "token_embd")))
    kv = load.allocated_cells * shape.kv_bytes_per_token(KV_TYPES[load.kv_type][1])
    context = (shape, load.allocated_cells, load.branches, load.batch)
    rotated = load.kv_type != "f16"
    rows = min(BATCH_TOKENS, load.tokens) if load.hidden else load.rows
    used = (shape, load.live_cells, 1, min(load.batch, load.tokens))
    return Footprint(
        embedding=embedding,
        layers=_by_layer(sizes, shape.layers),
        output=rest + (embedding if tied else 0),
        tied=tied,
        repacked=_by_layer(copied, shape.layers),
        repacked_output=copied.get("token_embd.weight" if tied else "output.weight", 0),
        kv=int(kv),
        compute=compute_bytes(*context, rotated=rotated),
        compute_used=compute_bytes(*used, logit_rows=rows, rotated=rotated),
        rows=FLOAT * rows * (shape.vocab + (shape.hidden if load.hidden else 0)),
        tables=VOCABULARY_BYTES * shape.vocab + ENGINE_BYTES,
    )


def _by_layer(sizes: Mapping[str, int], layers: int) -> tuple[int, ...]:
    numbers = {name: int(name.split(".")[1]) for name in sizes if name.startswith("blk.")}
    totals = [0] * max([layers, *(number + 1 for number in numbers.values())])
    for name, number in numbers.items():
        totals[number] += sizes[name]
    return tuple(totals)


def _repacks(tensor: TensorShape, kind: int) -> bool:
    """Whether llama.cpp makes a copy of a matrix in another order for this processor."""
    rows = tensor.sides[0] if len(tensor.sides) == 2 else 1
    return rows % _repacked_types().get(kind, rows + 1) == 0


@cache
def _repacked_types() -> dict[int, int]:
    """The types (of ggml) that are repacked here, and what their rows must be a multiple of.

    Source: `ggml_repack_get_optimal_repack_type` (ggml-cpu/repack.cpp) for x86 and ARM.
    """
    try:
        cpu = library("ggml-cpu")
    except FileNotFoundError:  # a build with one library for each kind of processor
        return {}

    def has(feature: str) -> bool:
        ask = getattr(cpu, f"ggml_cpu_has_{feature}")
        ask.restype = ctypes.c_int
        return bool(ask())

    if has("neon") and has("dotprod"):
        return {Q4_0: 4, Q4_K: 8, Q5_K: 8, Q6_K: 8, IQ4_NL: 4, Q8_0: 4}
    types = dict.fromkeys((Q4_0, Q4_K, IQ4_NL), 8) if has("avx2") else {}
    return types | ({Q2_K: 8} if has("avx512") else {})
