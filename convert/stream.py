"""Every tensor of a checkpoint is read once, and its rows go to all levels: read, widen, quantize.

This thread reads ahead; as many threads as there are cores do the rest, each a piece at a time.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Queue
from typing import BinaryIO, Literal

import numpy as np

from convert.ggml_rows import Bytes, Floats, float16_and_back, quantized
from convert.mapping import Mapped
from convert.mixes import BF16, F16
from convert.placing import Place
from convert.refusal import Refusal
from convert.tensor import Array, Tensor, largest, widen

PIECE_WEIGHTS = 1 << 18  # of one tensor at a time: an interrupt waits for one level of a piece
AHEAD = 4  # pieces read for every thread
F16_LIMIT = 65520.0  # rounds to infinity
Master = Literal["f16", "bf16"]


class ExceedsFloat16(Refusal):
    """A weight is larger than float16 can hold."""


@dataclass(frozen=True, slots=True)
class TensorSource:
    """A tensor of the GGUF, where its values come from, and rows that are others."""

    mapped: Mapped
    tensor: Tensor
    own_rows: Mapping[int, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LevelFile:
    """A file whose front is written; pieces of its tensors come in any order."""

    file: BinaryIO
    start: int  # of the first tensor's bytes
    places: Mapping[str, Place]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, data: Bytes, offset: int) -> None:
        """Write bytes of a tensor, `offset` counted from the first tensor's."""
        with self.lock:
            self.file.seek(self.start + offset)
            self.file.write(data.data)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rows of a tensor, as they are on disk but in the order they are written in."""

    source: TensorSource
    first: int
    raw: Array

    @property
    def last(self) -> bool:
        return self.first + len(self.raw) == self.source.mapped.rows


def stream(
    sources: Sequence[TensorSource],
    outputs: Sequence[LevelFile],
    *,
    master: Master = "f16",
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Write the tensors of every output; `progress` is told each one written.

    Levels that are quantized see the values that a master file of that type would hold.

    Raises:
        ExceedsFloat16: if float16 is to hold a value that it cannot.
        Refusal: for values that are not finite, or too large for a type.
    """
    stop, tasks = threading.Event(), Queue[_Task | None]()
    work = partial(_serve, tasks, outputs, master, stop)
    crew = [threading.Thread(target=work, daemon=True) for _ in range(_threads())]
    for thread in crew:
        thread.start()
    waiting: deque[_Task] = deque()
    try:
        for piece in _pieces(sources):
            waiting.append(_Task(piece))
            tasks.put(waiting[-1])
            if len(waiting) > AHEAD * len(crew):
                _settle(waiting.popleft(), progress)
        while waiting:
            _settle(waiting.popleft(), progress)
    except KeyboardInterrupt:
        _dismiss(crew, tasks, stop)  # and wait for none: a type's tables take ggml up to 17 s
        raise
    except BaseException:
        _dismiss(crew, tasks, stop)
        for thread in crew:
            thread.join()  # the files may be written once more
        raise
    _dismiss(crew, tasks, stop)


def _dismiss(
    crew: Sequence[threading.Thread], tasks: Queue[_Task | None], stop: threading.Event
) -> None:
    stop.set()
    for _ in crew:
        tasks.put(None)


@dataclass(frozen=True, slots=True)
class _Task:
    """A piece that is to be written, and what became of it."""

    piece: _Piece
    done: Future[None] = field(default_factory=Future)


def _settle(task: _Task, progress: Callable[[str], None]) -> None:
    task.done.result()
    if task.piece.last:
        progress(task.piece.source.mapped.name)


def _serve(
    tasks: Queue[_Task | None], outputs: Sequence[LevelFile], master: Master, stop: threading.Event
) -> None:
    """Write pieces until there are no more, or nobody wants them."""
    while (task := tasks.get()) is not None and not stop.is_set():
        try:
            _write(task.piece, outputs, master, stop)
            task.done.set_result(None)
        except BaseException as error:
            task.done.set_exception(error)


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pieces(sources: Sequence[TensorSource]) -> Iterator[_Piece]:
    for source in sources:
        mapped = source.mapped
        step = max(1, PIECE_WEIGHTS // mapped.columns)
        rows = np.arange(mapped.rows)
        order = mapped.arrange(rows)
        moved = not np.array_equal(rows, order)
        raw = source.tensor.read().reshape(mapped.rows, mapped.columns)  # a map of the file, mostly
        for first in range(0, mapped.rows, step):
            part = slice(first, first + step)
            yield _Piece(source, first, raw[order[part]] if moved else np.array(raw[part]))


def _write(
    piece: _Piece, outputs: Sequence[LevelFile], master: Master, stop: threading.Event
) -> None:
    """Bring a piece to all outputs."""
    name = piece.source.mapped.name
    exact = _exact(piece)
    places = [output.places[name] for output in outputs]
    limited = [p for p in places if p.kind == F16 or (master == "f16" and not p.exact)]
    if limited and largest(exact) >= F16_LIMIT:
        source = piece.source.tensor.name
        raise ExceedsFloat16(f"tensor {source} exceeds float16; choose bf16 or f32")
    rounded = exact if all(p.exact for p in places) else _rounded(piece, exact, master)
    for output, place in zip(outputs, places, strict=True):
        data = quantized(place.kind, exact if place.exact else rounded, place.importance)
        if stop.is_set():
            return
        output.write(data, place.offset + piece.first * (data.nbytes // len(exact)))


def _exact(piece: _Piece) -> Floats:
    """(R, C) values of the checkpoint."""
    values = piece.source.tensor.widened(piece.raw)
    for row, own in piece.source.own_rows.items():
        if 0 <= row - piece.first < len(values):
            values[row - piece.first] = own
    return values


def _rounded(piece: _Piece, values: Floats, master: Master) -> Floats:
    """The values as a master file would hold them."""
    if master == "bf16":
        return widen(quantized(BF16, values).view(np.uint16)).reshape(values.shape)
    if piece.source.tensor.dtype == "float16" and not piece.source.own_rows:
        return values
    return float16_and_back(values)
