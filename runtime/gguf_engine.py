"""llama.cpp as an engine: one unified KV cache, one sequence id per live branch."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
import psutil

from convert import llama_log, selftest
from convert.artifact import Artifact
from convert.command import deferred
from convert.gguf_header import Header, read_header
from convert.printing import say
from convert.refusal import Refusal
from convert.units import GIB
from runtime import devices
from runtime.branching import BranchEngine
from runtime.engine import CacheFull, Hidden, Output
from runtime.engine_footprint import engine_footprint
from runtime.gguf_batch import Batch, Rows
from runtime.gguf_context import BATCH_TOKENS, CONTEXT_STEP, KV_TYPES
from runtime.gguf_states import layer_states
from runtime.gguf_tokenizer import GgufTokenizer
from runtime.options import MAX_BRANCHES, EngineOptions
from runtime.output_rows import gather
from runtime.probe import FINAL, Probe
from runtime.ragged import flatten

TILE = 64  # from so many rows on the CPU's attention no longer skips the cells of others
FAST_ROWS = {"Vulkan": 8}  # `mul_mat_vec_max_cols` of ggml-vulkan


class GgufEngine(BranchEngine):
    """A GGUF on a card, the CPU, or both.

    In one cache for all branches a fork copies nothing, but every row looks past the cells of all
    the others; with `streams` a row sees its own alone, and a fork copies its stream.
    """

    def __init__(
        self, artifact: Artifact, options: EngineOptions, probe: Probe | None = None
    ) -> None:
        if not 1 <= options.max_branches <= MAX_BRANCHES:
            raise Refusal(
                f"{options.max_branches} branches are not in llama.cpp's 1..{MAX_BRANCHES}"
            )
        super().__init__(options.max_branches, probe, options.threads or devices.threads())
        self.artifact = artifact
        self.context = -(-options.context // CONTEXT_STEP) * CONTEXT_STEP
        _, self.kv_value_bytes = KV_TYPES[options.kv_type]
        self.streams, self.copies = options.streams, not options.streams
        self._cells = self.context * (options.max_branches if options.streams else 1)
        self._kv_bytes = int(self._cells * artifact.shape.kv_bytes_per_token(self.kv_value_bytes))
        self.weight_bits = artifact.bits_per_weight
        llama_log.capture()
        llama.llama_backend_init()
        self._model: Any = None
        self._context: Any = None
        self._load(options)
        self.tokenizer = GgufTokenizer(self._model)
        self._memory = llama.llama_get_memory(self._context)
        self._batch = Batch(BATCH_TOKENS)
        self._logits = Rows("llama_get_logits", self.tokenizer.size)
        self._hidden = Rows("llama_get_embeddings", llama.llama_model_n_embd(self._model))
        self._wants_hidden = False
        if self._states is not None:
            self._states.attach(self._context)

    @property
    def kv_bytes(self) -> int:
        return self._kv_bytes

    def _load(self, options: EngineOptions) -> None:
        """Open model and context on the card as far as they fit, else on the CPU."""
        header = read_header(self.artifact.path)
        self._states = layer_states(header, self.probe)
        types = {tensor.type for tensor in header.tensors}
        layers, card, reason = _placement(header, self.artifact, options)
        safe = selftest.safe_mode(types)
        if layers == 0:
            _refuse_cells(self._cells, self._kv_bytes)
        while not self._try_load(options, layers, safe=bool(safe)):
            if layers == 0:
                raise Refusal(f"cannot open {self.artifact.path}: {llama_log.last_error()}")
            layers = layers * 3 // 4 if layers > 4 else 0  # out of memory: try with fewer
            reason = "the card's memory is too small"
        self.on_card, total = layers > 0, self.artifact.shape.layers + 1
        self.most_rows = None if self.on_card or self.streams else TILE - 1
        on_cpu = devices.describe_cpu(self.threads, "" if layers else reason)
        self.device = on_cpu
        if layers and card is not None:
            self.fast_rows = FAST_ROWS.get(card.family)
            self.device = f"{card.name}, {layers} of {total} layers"
        if 0 < layers < total:
            self.device += f"; the rest on {on_cpu}"
        if safe:
            say(f"{self.artifact.path.name}: {safe}", sys.stderr)
            self.device += ", safe mode"

    def _try_load(self, options: EngineOptions, layers: int, *, safe: bool) -> bool:
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = layers
        if layers == 0:  # or long prompts would be computed on a card all the same
            parameters.split_mode, parameters.main_gpu = llama.LLAMA_SPLIT_MODE_NONE, -1
        parameters.use_extra_bufts = not safe
        path = os.fsencode(self.artifact.path)
        with deferred():
            self._model = llama.llama_model_load_from_file(path, parameters)
            if not self._model:
                return False
            wanted = self._context_parameters(options)
            self._context = llama.llama_init_from_model(self._model, wanted)
        if not self._context:
            self.close()
        return self._context is not None

    def _context_parameters(self, options: EngineOptions) -> Any:
        kv_type, _ = KV_TYPES[options.kv_type]
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = self._cells
        keeps = self._states is not None  # of every token that a call may have
        parameters.n_batch = options.batch if keeps else BATCH_TOKENS
        parameters.n_ubatch = options.batch
        parameters.n_seq_max = self.max_branches
        parameters.n_threads = parameters.n_threads_batch = self.threads
        parameters.type_k = parameters.type_v = kv_type
        parameters.kv_unified = not self.streams
        if self._states is not None and self._states.callback is not None:
            parameters.cb_eval = self._states.callback
        if options.kv_type != "f16":
            parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
        return parameters

    def evaluate(
        self,
        slots: Sequence[int],
        starts: Sequence[int],
        tokens: Sequence[Sequence[int]],
        *,
        hidden: bool,
        tails: Sequence[int],
    ) -> tuple[Output, int]:
        token, position, slot, last = flatten(slots, starts, tokens, tails)
        hidden = hidden or (self.probe is not None and FINAL in self.probe.layers)
        wanted = np.full(len(token), 1 if hidden else 0, np.int8)  # hidden states need every row
        wanted[last] = 1
        self._want_hidden(hidden)
        blocks = []
        limit = min(BATCH_TOKENS, llama.llama_n_batch(self._context))
        for begin in range(0, len(token), limit):
            part = slice(begin, begin + limit)
            self._batch.fill(token[part], position[part], slot[part], wanted[part])
            if self._states is not None:
                self._states.clear()
            if code := llama.llama_decode(self._context, self._batch.struct):
                self._undo(slots, starts)
                raise _decode_error(code, self)
            if wanted[part].any():
                more = begin + limit < len(token)
                places = np.flatnonzero(wanted[part])
                blocks.append(self._read(len(token[part]), hidden, places, copy=more))
        if not blocks:
            return Output(np.zeros((0, self.tokenizer.size), np.float32)), 0
        return gather(blocks, last), int(wanted.sum())

    def _read(self, tokens: int, hidden: bool, places: Any, *, copy: bool) -> Output:
        """The rows of the decode just done, which stand at some places among its tokens.

        Copied where another decode would overwrite them.
        """
        logits = self._logits(self._context, len(places))
        states = self._hidden(self._context, len(places)) if hidden else None
        probed = self.probe is not None and self.probe.layers
        readings = self._probed(tokens, states, places) if probed else None
        if copy:
            return Output(logits.copy(), None if states is None else states.copy(), readings)
        return Output(logits, states, readings)

    def _probed(self, tokens: int, final: Hidden | None, places: Any) -> Hidden:
        assert self.probe is not None
        found = self._states.read(self._context, tokens) if self._states else []
        inner = iter(found if len(places) == tokens else [states[places] for states in found])
        return self.probe([final if n == FINAL else next(inner) for n in self.probe.layers])  # type: ignore[misc]

    def _want_hidden(self, wanted: bool) -> None:
        if wanted != self._wants_hidden:
            llama.llama_set_embeddings(self._context, wanted)
            self._wants_hidden = wanted

    def _undo(self, slots: Sequence[int], starts: Sequence[int]) -> None:
        for slot, start in zip(slots, starts, strict=True):
            self.cut(slot, start)

    def share(self, source: int, target: int, length: int) -> None:
        if not self.streams:
            llama.llama_memory_seq_cp(self._memory, source, target, 0, length)
            return
        llama.llama_memory_seq_cp(
            self._memory, source, target, -1, -1
        )  # parts do not cross streams
        self.cut(target, length)

    def cut(self, slot: int, length: int) -> None:
        if self._context and not llama.llama_memory_seq_rm(self._memory, slot, length, -1):
            raise Refusal(
                f"{self.artifact.path.name} is a recurrent model: it cannot take back tokens, "
                "as scores and thoughts do; choose a model of attention alone"
            )

    def save(self, slot: int, spare: int, begin: int, end: int) -> bytes:
        llama.llama_memory_seq_cp(self._memory, slot, spare, begin, end)
        size = llama.llama_state_seq_get_size(self._context, spare)
        buffer = (ctypes.c_uint8 * size)()
        llama.llama_state_seq_get_data(self._context, buffer, size, spare)
        self.cut(spare, 0)
        return bytes(buffer)

    def restore(self, slot: int, spare: int, saved: bytes) -> None:
        buffer = (ctypes.c_uint8 * len(saved)).from_buffer_copy(saved)
        if not llama.llama_state_seq_set_data(self._context, buffer, len(saved), spare):
            raise RuntimeError(f"llama.cpp takes its own cells not back: {llama_log.last_error()}")
        llama.llama_memory_seq_cp(self._memory, spare, slot, -1, -1)
        self.cut(spare, 0)

    def close(self) -> None:
        if self._context:
            llama.llama_free(self._context)
        if self._model:
            llama.llama_model_free(self._model)
        self._context = self._model = None


def _refuse_cells(cells: int, kv_bytes: int) -> None:
    """Raise Refusal if main memory cannot hold a KV cache; the system would kill us over it."""
    total = psutil.virtual_memory().total
    if kv_bytes > total:
        raise Refusal(
            f"a KV cache of {cells} tokens takes {kv_bytes / GIB:,.1f} GiB and this "
            f"machine has {total / GIB:,.1f}; lower --context"
        )


def _placement(
    header: Header, artifact: Artifact, options: EngineOptions
) -> tuple[int, devices.Card | None, str]:
    """Layers for the card, the card, and why there is none.

    Raises:
        Refusal: if a card was asked for and cannot be had.
    """
    if options.device == "cpu":
        return 0, None, ""
    cards = devices.llama_cards(options.device)
    card = max(cards, key=lambda c: c.free_bytes, default=None)
    reason = devices.why_no_card(options.device)
    if card and (fault := selftest.card_fault({tensor.type for tensor in header.tensors})):
        reason = f"llama.cpp fails on {card.name}: {fault}"
        card = None
    if card is None:
        if options.device != "auto":
            raise Refusal(f"--device {options.device}: {reason}; choose auto or cpu")
        return 0, None, reason
    if options.gpu_layers is not None:
        return min(options.gpu_layers, artifact.shape.layers + 1), card, ""
    return (
        engine_footprint(header, artifact.shape, options).layers_that_fit(card.free_bytes),
        card,
        f"{card.free_bytes / GIB:.1f} GiB free on {card.name} hold no layer",
    )


def _decode_error(code: int, engine: GgufEngine) -> Exception:
    if code == 1:
        return CacheFull(
            f"the KV cache of {engine.context} tokens is full; raise --context or lower --width"
        )
    return RuntimeError(f"llama_decode failed with code {code}: {llama_log.last_error()}")
