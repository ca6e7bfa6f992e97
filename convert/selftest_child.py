"""What the self-test lets a child do: open a model in llama.cpp and decode one and sixteen tokens.

`python -m convert.selftest_child` reads one JSON request from standard input: `types`, ggml's
numbers of weight types to try on a tiny model, or `model`, a file to look at. It prints one JSON
line for everything it begins and ends, so that its death tells what died.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SIZE, FEED_FORWARD, VOCAB, BATCH = 256, 512, 256, 16  # every block format divides them
F32, CELLS = 0, 256
TOLERANCE = 0.2  # of a standard deviation; one and two bits of activations stay far below
Floats = npt.NDArray[np.float32]


def main() -> int:
    """Serve one request; returns the exit code."""
    import llama_cpp.llama_cpp as llama

    from convert.llama_log import capture

    capture()
    llama.llama_backend_init()
    request = json.loads(sys.stdin.read())
    layers, safe = int(request["layers"]), bool(request["safe"])
    if "model" in request:
        _tell({"failed": _look(Path(request["model"]), layers=layers, safe=safe)})
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tiny = Tiny(Path(folder))
        for kind in request["types"]:
            _tell({"begun": kind})
            _tell({"ended": kind, "failed": _try(tiny, kind, layers=layers, safe=safe)})
    return 0


def _tell(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def _look(path: Path, *, layers: int, safe: bool) -> str:
    """What is wrong with a model file; empty if it decodes."""
    from convert.llama_log import last_error

    with opened(path, layers=layers, safe=safe, check=True) as context:
        if context is None:
            return last_error() or "llama.cpp cannot open it"
        rows = decode(context)
    return "" if np.isfinite(rows).all() else "it gives logits that are not finite"


def _try(tiny: Tiny, kind: int, *, layers: int, safe: bool) -> str:
    """What is wrong with a weight type here; empty if it computes what float32 computes."""
    found, wanted = tiny.rows(kind, layers=layers, safe=safe)
    error = float(np.abs(found - wanted).max() / wanted.std())
    return "" if error < TOLERANCE else f"wrong by {error:.2f} standard deviations"


@contextmanager
def opened(path: Path, *, layers: int, safe: bool, check: bool = False) -> Iterator[Any]:
    """A small context of a model, None where it cannot be had."""
    import llama_cpp.llama_cpp as llama

    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers, parameters.use_extra_bufts = layers, not safe
    if layers == 0:
        parameters.split_mode, parameters.main_gpu = llama.LLAMA_SPLIT_MODE_NONE, -1
    parameters.check_tensors = check
    model = llama.llama_model_load_from_file(str(path).encode(), parameters)
    options = llama.llama_context_default_params()
    options.n_ctx = options.n_batch = options.n_ubatch = CELLS
    options.n_seq_max, options.kv_unified = BATCH + 1, True
    context = llama.llama_init_from_model(model, options) if model else None
    try:
        yield context
    finally:
        if context:
            llama.llama_free(context)
        if model:
            llama.llama_model_free(model)


def decode(context: Any) -> Floats:
    """(17, V): logits after one token, then of sixteen branches in one call."""
    import llama_cpp.llama_cpp as llama

    vocabulary = llama.llama_model_get_vocab(llama.llama_get_model(context))
    size = llama.llama_vocab_n_tokens(vocabulary)
    rows = []
    for count in (1, BATCH):
        batch = llama.llama_batch_init(count, 0, 1)
        for n in range(count):
            batch.token[n], batch.pos[n] = (n * 7 + 3) % size, 0
            batch.n_seq_id[n], batch.seq_id[n][0], batch.logits[n] = 1, n + count // BATCH, 1
        batch.n_tokens = count
        code = llama.llama_decode(context, batch)
        llama.llama_batch_free(batch)
        if code:
            raise SystemExit(f"llama_decode failed with code {code}")
        raw = llama.llama_get_logits(context)
        rows.append(np.ctypeslib.as_array(raw, (count, size)).copy())
    return np.concatenate(rows)


class Tiny:
    """A random layer between an embedding and an output, in any weight type."""

    def __init__(self, folder: Path) -> None:
        draw = np.random.default_rng(0)
        wide, narrow = (FEED_FORWARD, SIZE), (SIZE, FEED_FORWARD)
        shapes = {
            "token_embd": (VOCAB, SIZE),
            "output": (VOCAB, SIZE),
            **{f"blk.0.attn_{name}": (SIZE, SIZE) for name in ("q", "k", "v", "output")},
            "blk.0.ffn_gate": wide,
            "blk.0.ffn_up": wide,
            "blk.0.ffn_down": narrow,
        }
        self._folder = folder
        self._matrices = {
            f"{name}.weight": draw.standard_normal(shape, np.float32) * np.float32(1 / 16)
            for name, shape in shapes.items()
        }

    def rows(self, kind: int, *, layers: int, safe: bool) -> tuple[Floats, Floats]:
        """Logits with weights of a type, and with the same weights widened to float32."""
        import gguf

        packed = {name: _quantize(matrix, kind) for name, matrix in self._matrices.items()}
        found = self._decode(packed, kind, layers=layers, safe=safe)
        try:
            wide = {
                name: gguf.quants.dequantize(raw, gguf.GGMLQuantizationType(kind))
                for name, raw in packed.items()
            }
        except NotImplementedError:  # a type that only llama.cpp can widen
            return found, found
        raw = {name: matrix.astype(np.float32).view(np.uint8) for name, matrix in wide.items()}
        return found, self._decode(raw, F32, layers=0, safe=True)

    def _decode(
        self, packed: dict[str, npt.NDArray[np.uint8]], kind: int, *, layers: int, safe: bool
    ) -> Floats:
        path = self._folder / f"tiny-{kind}.gguf"
        _write(path, packed, kind)
        with opened(path, layers=layers, safe=safe) as context:
            if context is None:
                raise SystemExit("llama.cpp cannot open a tiny model")
            return decode(context)


def _quantize(matrix: Floats, kind: int) -> npt.NDArray[np.uint8]:
    """Rows in a type, by ggml's own code: (rows, bytes)."""
    import gguf

    from convert.ggml import library

    rows, columns = matrix.shape
    weights, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
    out = np.zeros((rows, columns // weights * size), np.uint8)
    chunk = library("ggml-base").ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    chunk.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    even = np.ones(columns, np.float32)  # the importance of its columns
    addresses = [array.ctypes.data for array in (matrix, out, even)]
    chunk(kind, addresses[0], addresses[1], 0, rows, columns, addresses[2])
    return out


def _write(path: Path, packed: dict[str, npt.NDArray[np.uint8]], kind: int) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(VOCAB)
    writer.add_context_length(CELLS)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(SIZE, np.float32))
    for name, raw in packed.items():
        writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    sys.exit(main())
