"""Stock llama.cpp, as the tests look at our files with: no code of this repository in between."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import llama_cpp.llama_cpp as llama
import numpy as np
from scipy.special import log_softmax


@llama.llama_log_callback
def _silent(_level: int, _text: bytes, _data: Any) -> None:
    pass


class Stock:
    """A GGUF opened by llama.cpp on one thread, float32 KV cache."""

    def __init__(self, path: Path, *, context: int = 512) -> None:
        llama.llama_log_set(_silent, None)
        self.model = llama.llama_model_load_from_file(
            str(path).encode(), llama.llama_model_default_params()
        )
        if not self.model:
            raise ValueError(f"llama.cpp refuses {path}")
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = context
        parameters.n_threads = parameters.n_threads_batch = 1
        parameters.type_k = parameters.type_v = llama.GGML_TYPE_F32
        parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it rounds to float16
        self.context = llama.llama_init_from_model(self.model, parameters)
        self.vocab = llama.llama_model_get_vocab(self.model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        llama.llama_free(self.context)
        llama.llama_model_free(self.model)

    def encode(self, text: str, *, special: bool = False, bos: bool = True) -> list[int]:
        raw = text.encode()
        ids = (ctypes.c_int32 * (len(raw) + 8))()
        count = llama.llama_tokenize(self.vocab, raw, len(raw), ids, len(ids), bos, special)
        return list(ids[:count])

    def logits(self, ids: list[int]) -> Any:
        """(T, V) after every token."""
        return self._decode(ids, llama.llama_get_logits, llama.llama_vocab_n_tokens(self.vocab))

    def hidden(self, ids: list[int]) -> Any:
        """(T, D) after the final norm."""
        llama.llama_set_embeddings(self.context, True)
        return self._decode(ids, llama.llama_get_embeddings, llama.llama_model_n_embd(self.model))

    def _decode(self, ids: list[int], get: Any, width: int) -> Any:
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)
        tokens = np.array(ids, np.int32)
        wanted = np.ones(len(ids), np.int8)
        batch = llama.llama_batch_get_one(
            tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), len(ids)
        )
        batch.logits = wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))
        assert llama.llama_decode(self.context, batch) == 0
        return np.ctypeslib.as_array(get(self.context), (len(ids), width)).copy()


def divergence(exact: Any, ours: Any) -> float:
    """Mean KL of rows of logits, in nats."""
    p, q = (log_softmax(rows.astype(np.float64), axis=-1) for rows in (exact, ours))
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def quantize(
    source: Path,
    out: Path,
    ftype: int,
    *,
    importance: Mapping[str, Any] | None = None,
    says: Mapping[str, str | int] | None = None,
) -> None:
    """llama.cpp's quantizer in this process; `says` is what the file says of an importance matrix.

    Raises:
        ValueError: if it refuses.
    """
    llama.llama_log_set(_silent, None)
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = ftype
    entries = (llama.llama_model_imatrix_data * (len(importance or ()) + 1))()
    for entry, (name, values) in zip(entries, (importance or {}).items(), strict=False):
        entry.name, entry.size = name.encode(), values.size
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    if importance is not None:
        parameters.imatrix = ctypes.cast(entries, type(parameters.imatrix))
    overrides = (llama.llama_model_kv_override * (len(says or ()) + 1))()
    for override, (key, value) in zip(overrides, (says or {}).items(), strict=False):
        override.key = f"quantize.imatrix.{key}".encode()
        if isinstance(value, int):
            override.tag, override.value.val_i64 = llama.LLAMA_KV_OVERRIDE_TYPE_INT, value
        else:
            override.tag = llama.LLAMA_KV_OVERRIDE_TYPE_STR
            override.value.val_str = value.encode()
    if says is not None:
        parameters.kv_overrides = ctypes.cast(overrides, type(parameters.kv_overrides))
    names = str(source).encode(), str(out).encode()
    if code := llama.llama_model_quantize(*names, ctypes.byref(parameters)):
        raise ValueError(f"llama.cpp refuses: {code}")
