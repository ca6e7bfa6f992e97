"""Computing an importance matrix from a text, in the manner of llama-imatrix."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import llama_cpp.llama_cpp as llama
import numpy as np
import numpy.typing as npt

from convert import llama_log
from convert.command import deferred
from convert.files import whole
from convert.ggml import library
from convert.ggml_tensor import GraphTensor, rows
from convert.gguf_header import read_header
from convert.refusal import Refusal
from convert.selftest import safe_mode
from convert.supervise import doing

Floats = npt.NDArray[np.float32]
CHUNK_TOKENS = 512  # llama-imatrix's default context
MIN_ROWS = 16  # smaller products are left out, as llama-imatrix leaves them


class Collector:
    """Sums of squares and row counts of the inputs of every matrix product in a layer."""

    def __init__(self) -> None:
        self.sums: dict[str, Floats] = {}
        self.counts: dict[str, int] = {}
        base = library("ggml-base")
        base.ggml_op_name.restype = ctypes.c_char_p
        names = [base.ggml_op_name(i) for i in range(64)]
        self._product = names.index(b"MUL_MAT")
        self.callback = llama.ggml_backend_sched_eval_callback(self._see)

    def _see(self, pointer: Any, asks: bool, _user_data: Any) -> bool:
        tensor = ctypes.cast(pointer, ctypes.POINTER(GraphTensor)).contents
        if tensor.op != self._product:
            return not asks
        weight, inputs = tensor.src[0].contents, tensor.src[1].contents
        if asks:
            return bool(
                inputs.type == 0 and inputs.ne[1] >= MIN_ROWS and weight.name.startswith(b"blk.")
            )
        self._add(weight.name.decode(), rows(inputs))
        return True

    def _add(self, name: str, inputs: Floats) -> None:
        squares = np.einsum("ij,ij->j", inputs, inputs)
        self.sums[name] = self.sums.get(name, np.zeros_like(squares)) + squares
        self.counts[name] = self.counts.get(name, 0) + len(inputs)


def calibrate(
    model: Path, text: Path, out: Path, progress: Callable[[int, int], None] = lambda *_: None
) -> None:
    """Run a model over a text and write the importance matrix to `out` as a GGUF.

    The text is cut into chunks of 512 tokens, each begun with the beginning-of-sequence token.

    Raises:
        Refusal: if the text is shorter than one chunk, or the model cannot be opened.
    """
    collector = Collector()
    with deferred() as interrupted, _open(model, collector) as (context, vocabulary):
        tokens = _tokenize(vocabulary, text.read_bytes())
        chunks = len(tokens) // CHUNK_TOKENS
        if not chunks:
            raise Refusal(f"{text} has {len(tokens)} tokens; a calibration needs {CHUNK_TOKENS}")
        first = llama.llama_vocab_bos(vocabulary)
        memory = llama.llama_get_memory(context)
        # Every token is an output: the last layer computes nothing for the others.
        outputs = np.ones(CHUNK_TOKENS, np.int8)
        for chunk in range(chunks):
            part = tokens[chunk * CHUNK_TOKENS : (chunk + 1) * CHUNK_TOKENS].copy()
            if first >= 0:
                part[0] = first
            llama.llama_memory_clear(memory, True)
            ids = part.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
            batch = llama.llama_batch_get_one(ids, CHUNK_TOKENS)
            batch.logits = outputs.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))
            code = llama.llama_decode(context, batch)
            if interrupted():
                return  # the signal is raised on the way out
            if code:
                raise Refusal(f"llama.cpp failed on chunk {chunk + 1} of {text} with code {code}")
            progress(chunk + 1, chunks)
    _write(collector, out, text.name, chunks)


@contextmanager
def _open(model: Path, collector: Collector) -> Iterator[tuple[Any, Any]]:
    """A context that shows its tensors to the collector, and the model's vocabulary."""
    llama_log.capture()
    doing(f"calibrating with {model.name}")
    wanted = llama.llama_model_default_params()
    wanted.use_extra_bufts = not safe_mode({tensor.type for tensor in read_header(model).tensors})
    opened = llama.llama_model_load_from_file(os.fsencode(model), wanted)
    if not opened:
        raise Refusal(f"{model} cannot be opened by llama.cpp")
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = CHUNK_TOKENS
    parameters.n_threads = parameters.n_threads_batch = os.cpu_count() or 1
    parameters.cb_eval = collector.callback
    context = llama.llama_init_from_model(opened, parameters)
    if not context:
        llama.llama_model_free(opened)
        raise Refusal(f"llama.cpp cannot make a context of {CHUNK_TOKENS} tokens for {model}")
    try:
        yield context, llama.llama_model_get_vocab(opened)
    finally:
        llama.llama_free(context)
        llama.llama_model_free(opened)


def _tokenize(vocabulary: Any, text: bytes) -> npt.NDArray[np.int32]:
    buffer: Any = (ctypes.c_int32 * (len(text) + 8))()
    count = llama.llama_tokenize(vocabulary, text, len(text), buffer, len(buffer), True, False)
    return np.frombuffer(buffer, np.int32)[: max(count, 0)].copy()


def _write(collector: Collector, out: Path, dataset: str, chunks: int) -> None:
    writer = gguf.GGUFWriter(None, "imatrix")
    writer.kv_data[0].pop("general.architecture", None)  # it is no model
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [dataset])
    writer.add_uint32("imatrix.chunk_count", chunks)
    writer.add_uint32("imatrix.chunk_size", CHUNK_TOKENS)
    for name, sums in sorted(collector.sums.items()):
        writer.add_tensor(f"{name}.in_sum2", sums.reshape(1, -1))
        counts = np.array([[collector.counts[name]]], np.float32)
        writer.add_tensor(f"{name}.counts", counts)
    with whole(out) as part:
        writer.write_header_to_file(part)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
