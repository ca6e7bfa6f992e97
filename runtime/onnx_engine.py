"""onnxruntime as an engine: one KV cache for all branches, written in place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from convert.artifact import Artifact
from convert.onnx_levels import parse_onnx_level
from convert.refusal import Refusal
from runtime import devices
from runtime.branching import BranchEngine
from runtime.engine import CacheFull, Output
from runtime.onnx_cache import KvCache
from runtime.onnx_cells import Cells
from runtime.onnx_session import open_session
from runtime.onnx_tokenizer import open_tokenizer
from runtime.options import EngineOptions
from runtime.probe import Probe
from runtime.ragged import Ints, flatten

CALL_TOKENS = 512  # of one call: attention keeps a score for every pair of tokens


class OnnxEngine(BranchEngine):
    """An ONNX decoder on CUDA or the CPU."""

    def __init__(
        self, artifact: Artifact, options: EngineOptions, probe: Probe | None = None
    ) -> None:
        super().__init__(options.max_branches, probe, options.threads or devices.threads())
        if probe is not None and probe.inner():
            raise Refusal(
                f"{artifact.path.name} gives no states of layer {probe.inner()[0]}: an ONNX file "
                "has the final ones alone; choose final"
            )
        self.artifact, self.context = artifact, options.context
        opened = open_session(artifact, options)
        self.device, self.on_card = opened.device, opened.cuda
        self.weight_bits = _weight_bits(artifact, opened.cuda)
        self.kv_value_bytes = 2.0 if opened.cuda else 4.0  # as the cache allocates them
        self._session: Any = opened.session
        _check_positions(opened.facts, options)
        window = opened.facts.get("starbase.window")
        self._cells = Cells(options.max_branches, options.context, int(window) if window else None)
        self._cache = KvCache(artifact.shape, options.context, cuda=opened.cuda)
        self._binding = self._session.io_binding()
        self._cache.bind(self._binding)
        self.tokenizer = open_tokenizer(artifact, opened.facts)
        names = {value.name for value in self._session.get_outputs()}
        self._logits = OutputRows("logits", artifact.shape.vocab if "logits" in names else 0)
        self._hidden = OutputRows("hidden_states", artifact.shape.hidden)

    @property
    def kv_bytes(self) -> int:
        return self._cache.size_bytes

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
        self._make_room(len(token))
        self._logits.reserve(len(last))
        self._hidden.reserve(len(last))
        try:
            for begin, until in pairwise(self._bounds([len(t) for t in tokens])):
                part = slice(begin, until)
                first, end = map(int, np.searchsorted(last, (begin, until)))
                self._logits.bind(self._binding, first, end)
                self._hidden.bind(self._binding, first, end)
                self._run(token[part], position[part], slot[part], last[first:end] - begin)
        except BaseException:
            for n, start in zip(slots, starts, strict=True):
                self._cells.cut(n, start)
            raise
        rows = len(last)
        states = self._hidden.values[:rows]
        readings = self.probe([states]) if self.probe and self.probe.layers else None
        output = Output(self._logits.values[:rows], states if hidden else None, readings)
        return output, rows if self._logits.width else 0

    def _bounds(self, sizes: Sequence[int]) -> list[int]:
        """Where calls begin and end among so many tokens of each branch.

        In an empty cache onnxruntime takes a whole call for one prompt and counts its positions
        itself: the first branch goes alone then.
        """
        alone = min(sizes[0], CALL_TOKENS) if self._cells.used == 0 else 0
        total = sum(sizes)
        return sorted({0, alone, *range(alone, total, CALL_TOKENS), total})

    def _run(self, token: Ints, position: Ints, slot: Ints, rows: Ints) -> None:
        """One call on tokens of any branches: as one row, whose bias tells them apart."""
        bias = self._cells.append(slot, position)  # (S, T)
        feeds = {
            "input_ids": token[None].astype(np.int64),
            "position_ids": position[None].astype(np.int64),
            "attention_bias": bias[None, None],
            "lengths": np.array([self._cells.used]),
            "rows": rows.astype(np.int64),
        }
        for name, values in feeds.items():
            self._binding.bind_cpu_input(name, values)
        self._session.run_with_iobinding(self._binding)

    def _make_room(self, count: int) -> None:
        if not self._cells.fits(count):
            raise CacheFull(
                f"the KV cache of {self.context} tokens is full; raise --context or lower --width"
            )
        if self._cells.ragged(count):
            self._cache.keep(self._cells.compact())

    def share(self, source: int, target: int, length: int) -> None:
        self._cells.share(source, target, length)

    def cut(self, slot: int, length: int) -> None:
        self._cells.cut(slot, length)

    def close(self) -> None:
        self._binding = self._session = None
        self._cache.free()


class OutputRows:
    """An output of the graph, in memory that onnxruntime writes to directly."""

    def __init__(self, name: str, width: int) -> None:
        self.width = width
        self.values = np.zeros((0, width), np.float32)
        self._name = name

    def reserve(self, count: int) -> None:
        """Have room for so many rows; what was there is lost."""
        if count > len(self.values):
            self.values = np.zeros((count, self.width), np.float32)

    def bind(self, binding: Any, begin: int, end: int) -> None:
        """Let the next call write rows `begin` to `end`."""
        if self.width:
            part = self.values[begin:end]
            address = part.ctypes.data
            binding.bind_output(self._name, "cpu", 0, np.float32, part.shape, address)


def _weight_bits(artifact: Artifact, cuda: bool) -> float:
    """Of a weight in memory: for the CPU onnxruntime widens float16 when it opens a file."""
    widened = not cuda and not parse_onnx_level(artifact.level).quantized
    return 32.0 if widened else artifact.bits_per_weight


def _check_positions(facts: dict[str, str], options: EngineOptions) -> None:
    rows = int(facts.get("starbase.positions", options.context))
    if options.context > rows:
        raise Refusal(f"--context {options.context}: this model's tables end at {rows} tokens")
