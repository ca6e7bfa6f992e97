"""What quantization does to a thinker: its mixing weights and its mixed distributions.

Every model reads the same solutions and thinks the same thoughts, those that the baseline sampled:
what differs comes from the weights of the model alone, not from other thoughts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from convert.heads import read_talk_head
from convert.refusal import Refusal
from profiles.opened_model import OpenedModel, opened_model
from runtime.engine import Branch, Engine, Logits
from runtime.thinking_engine import ThinkingEngine

Values = npt.NDArray[np.float64]
Thoughts = list[list[int]]  # one list of tokens for all branches of a batch, in order of sampling


class ReplayEngine(ThinkingEngine):
    """Thinks given thoughts, or notes those that it samples."""

    def __init__(self, engine: Engine, given: Thoughts | None) -> None:
        if engine.artifact.thought is None:
            raise Refusal(f"{engine.artifact.path} is no Quiet-STaR model: it does not think")
        super().__init__(engine, read_talk_head(engine.artifact))
        self.noted: Thoughts = []
        self._given = None if given is None else iter(given)

    def _sample(
        self, branches: Sequence[Branch], lengths: Sequence[int], number: int, logits: Logits
    ) -> list[int]:
        if self._given is not None:
            return next(self._given)
        self.noted.append(super()._sample(branches, lengths, number, logits))
        return self.noted[-1]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model gave after every token of every solution."""

    model: OpenedModel
    weights: Values  # (S,)
    logprobs: Values  # (S, V), of the mixed distribution; impossible tokens left out
    thoughts: Thoughts


@dataclass(frozen=True, slots=True)
class MixingWeights:
    """How the share of the thought, `w`, is distributed over the positions."""

    w_mean: float
    w_p1: float
    w_p50: float
    w_p99: float


@dataclass(frozen=True, slots=True)
class Drift:
    """What changed position by position; KL is from the baseline's mixed distribution."""

    w_change_rms: float
    w_correlation: float
    sign_changes: float  # share of the positions
    kl_mean_nats: float
    kl_mean_se_nats: float
    kl_p99_nats: float
    same_top: float


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One line. The baseline has no drift."""

    format: str
    level: str
    bits_per_weight: float
    positions: int
    weights: MixingWeights
    drift: Drift | None = None


def read(
    engine: Engine, texts: Sequence[tuple[str, str]], given: Thoughts | None = None
) -> Reading:
    """Prompts and solutions read in one batch, with a thought after every token of a solution."""
    replay, tokenizer = ReplayEngine(engine, given), engine.tokenizer
    weights, rows = [], []
    solutions = [tokenizer.encode_more(solution) for _, solution in texts]
    with ExitStack() as stack:
        roots = [stack.enter_context(engine.open(tokenizer.encode(prompt))) for prompt, _ in texts]
        for place in range(max(map(len, solutions))):
            live = [i for i, ids in enumerate(solutions) if place < len(ids)]
            fed = [[solutions[i][place]] for i in live]
            output = replay.feed([roots[i] for i in live], fed, work="decode")
            weights.append(replay.weights[:, 0].astype(np.float64))
            rows.append(output.logits.astype(np.float64))
    logits = np.concatenate(rows)
    logprobs = log_softmax(logits[:, np.isfinite(logits).all(axis=0)], axis=1)
    return Reading(opened_model(engine), np.concatenate(weights), logprobs, given or replay.noted)


def row(ours: Reading, base: Reading | None) -> DriftRow:
    """The line of one model; without a baseline it is the baseline's own."""
    p1, p50, p99 = (float(p) for p in np.percentile(ours.weights, [1, 50, 99]))
    return DriftRow(
        ours.model.format,
        ours.model.level,
        ours.model.bits_per_weight,
        len(ours.weights),
        MixingWeights(float(ours.weights.mean()), p1, p50, p99),
        None if base is None else drift(ours, base),
    )


def drift(ours: Reading, base: Reading) -> Drift:
    """What changed from the baseline, which read the same tokens and thought the same thoughts."""
    w, before = ours.weights, base.weights
    p, q = base.logprobs, ours.logprobs
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    return Drift(
        w_change_rms=float(np.sqrt(((w - before) ** 2).mean())),
        w_correlation=float(np.corrcoef(w, before)[0, 1]),
        sign_changes=float((np.sign(w) != np.sign(before)).mean()),
        kl_mean_nats=float(kl.mean()),
        kl_mean_se_nats=float(kl.std(ddof=1) / np.sqrt(len(kl))),
        kl_p99_nats=float(np.percentile(kl, 99)),
        same_top=float((p.argmax(axis=1) == q.argmax(axis=1)).mean()),
    )


def measure(
    paths: Sequence[Path],
    texts: Sequence[tuple[str, str]],
    opener: Callable[[Path], Engine],
    progress: Callable[[str], None] = lambda _: None,
) -> list[DriftRow]:
    """A line for every model; the first one is the baseline, whose thoughts all others think.

    Raises:
        Refusal: if a model is no thinker.
    """
    rows: list[DriftRow] = []
    base: Reading | None = None
    for path in paths:
        with opener(path) as engine:
            found = read(engine, texts, base.thoughts if base else None)
        rows.append(row(found, base))
        base = base or found
        progress(path.name)
    return rows
