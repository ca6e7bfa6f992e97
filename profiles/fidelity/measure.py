"""How far quantized models are from full precision, token by token on a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from convert.files import need_space
from convert.progress import Progress
from convert.refusal import Refusal
from profiles.chunks import CONTEXT, Chunks, cut, evaluate
from profiles.fidelity.coded_logprobs import Store, bytes_needed, encode
from profiles.fidelity.divergence import divergences, joined, losses
from profiles.fidelity.rows import FidelityRow, Kind, ScoredPositions, row
from profiles.opened_model import opened_model
from runtime.engine import Engine, Logits

Opener = Callable[[Path], Engine]


@dataclass(frozen=True, slots=True)
class FidelityRequest:
    """What is compared on which text."""

    baseline: Path
    levels: Sequence[Path]
    text: str
    context: int = CONTEXT
    chunks: int | None = None  # None: the whole text
    batch: int | None = None  # tokens of one call; None: a whole half of a chunk

    @property
    def batch_tokens(self) -> int:
        return min(self.batch or self.context, self.context)

    @property
    def noise_batch_tokens(self) -> int:
        """A quarter and odd, so that kernels split their work differently."""
        return max(1, self.batch_tokens // 4 - 1)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """All rows, and how much text they rest on."""

    rows: tuple[FidelityRow, ...]
    context: int
    chunks: int
    scored: int  # positions of one chunk


def measure(plan: FidelityRequest, opener: Opener, progress: Progress | None = None) -> Fidelity:
    """Read the text with the baseline, with it again in other batches, then with every level.

    One model is open at a time. The baseline's distributions wait in a temporary file.

    Raises:
        Refusal: if the text is too short, a model has another vocabulary, or is no policy.
        OSError: if the disk has no room for the baseline's distributions.
    """
    progress = progress or Progress()
    with TemporaryDirectory(prefix="fidelity-") as folder:
        with _policy(opener, plan.baseline) as engine:
            chunks = cut(engine, plan.text, plan.context, plan.chunks)
            reading = _Reading(chunks, _store(Path(folder), chunks), progress)
            base = reading.baseline(engine, plan.batch_tokens)
            noise = reading.against(engine, plan.noise_batch_tokens, "self-noise")
        levels = []
        for path in plan.levels:
            with _policy(opener, path) as engine:
                levels.append(reading.against(engine, plan.batch_tokens, "level"))
    rows = [row(found, base, noise, chunks.count) for found in (base, noise, *levels)]
    return Fidelity(tuple(rows), chunks.context, chunks.count, chunks.scored)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One text on its way through one model after another."""

    chunks: Chunks
    store: Store
    progress: Progress

    def baseline(self, engine: Engine, batch: int) -> ScoredPositions:
        """The baseline's losses; its distributions go to the store."""
        nll = []
        for chunk, logits in self._evaluate(engine, batch, "baseline"):
            self.store.put(chunk, encode(logits))
            nll.append(losses(logits, self.chunks.targets(chunk)))
        return ScoredPositions(opened_model(engine), "baseline", batch, np.concatenate(nll), None)

    def against(self, engine: Engine, batch: int, kind: Kind) -> ScoredPositions:
        """A model's losses, and its divergences from what the store holds."""
        nll, found = [], []
        for chunk, logits in self._evaluate(engine, batch, kind):
            targets = self.chunks.targets(chunk)
            nll.append(losses(logits, targets))
            found.append(divergences(logits, targets, self.store.get(chunk)))
        return ScoredPositions(
            opened_model(engine), kind, batch, np.concatenate(nll), joined(found)
        )

    def _evaluate(self, engine: Engine, batch: int, kind: Kind) -> Iterator[tuple[int, Logits]]:
        title = engine.artifact.level if kind == "level" else kind
        with self.progress.bar(title, self.chunks.count) as bar:
            for chunk, logits in enumerate(evaluate(engine, self.chunks, batch)):
                yield chunk, logits
                bar.step("chunks")


@contextmanager
def _policy(opener: Opener, path: Path) -> Iterator[Engine]:
    with opener(path) as engine:
        if engine.artifact.role == "reward":
            raise Refusal(
                f"{path.name} is a reward model, which writes no text; "
                "profile reward-grid measures what quantization changes in it"
            )
        yield engine


def _store(folder: Path, chunks: Chunks) -> Store:
    size = bytes_needed(chunks.count, chunks.scored, chunks.vocab)
    need_space(folder, size, "lower --chunks, or set TMPDIR")
    return Store(folder / "baseline", chunks.count, chunks.scored, chunks.vocab)
