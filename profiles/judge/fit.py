"""Fitting heads to samples: right answers to a question are to score above its wrong ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from convert.self_judge import Form
from profiles.judge.auc import auc
from profiles.judge.samples import Samples

HIDDEN = 16  # numbers between the two layers
EPOCHS, PATIENCE = 60, 10  # most, and how many without a better one end it
QUESTIONS = 32  # in a batch
RATE, DECAY, DROPOUT = 3e-3, 1e-2, 0.2
MOMENTS = 50_000  # tokens are enough for a mean
FLOOR = 1e-3  # of a standard deviation, and of a slope

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Heads that were fitted to some layers."""

    form: Form
    layers: tuple[int, ...]
    tensors: dict[str, Floats]  # as `methods.self_scorer` reads them
    auc: float  # within a question, of the questions that said when to stop
    scores: Floats  # (S,) logits of all step ends


class _Layers(nn.Module):
    """Two linear layers on what a step's numbers and its states say."""

    def __init__(self, samples: Samples, layers: Sequence[int], rows: Ints) -> None:
        super().__init__()
        self.inputs = torch.from_numpy(_step_inputs(samples, layers))
        self.mean, self.scale = _moments(self.inputs[rows])
        self.features = samples.features.shape[1]
        self.drop = nn.Dropout(DROPOUT)
        self.inner = nn.Linear(self.inputs.shape[1], HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(B,) scores of step ends."""
        whole = self.drop((self.inputs[rows] - self.mean) / self.scale)
        scores: torch.Tensor = self.out(torch.relu(self.inner(whole)))[:, 0]
        return scores

    def tensors(self, slope: float, shift: float) -> dict[str, Floats]:
        """The weights with standardization and calibration inside."""
        weight = self.inner.weight / self.scale
        bias = self.inner.bias - weight @ self.mean
        states = weight[:, self.features :]
        half = states.shape[1] // 2
        found = {
            "features.weight": weight[:, : self.features],
            "features.bias": bias,
            "out.weight": slope * self.out.weight[0],
            "out.bias": slope * self.out.bias + shift,
        }
        if half:
            found["probe.weight"] = torch.cat([states[:, :half], states[:, half:]])
        return _plain(found)


class _Gated(nn.Module):
    """A weighted mean over the tokens of a path (SWIFT, arXiv 2505.12225, section 3)."""

    def __init__(self, samples: Samples, layers: Sequence[int], _: Ints) -> None:
        super().__init__()
        columns = samples.columns(layers)
        self.inputs = torch.from_numpy(
            np.concatenate([samples.tokens.astype(np.float16), samples.states[:, columns]], axis=1)
        )
        some = self.inputs[:: 1 + len(self.inputs) // MOMENTS]
        self.mean, self.scale = _moments(some.float())
        self.begin, self.end = torch.from_numpy(samples.begin), torch.from_numpy(samples.end)
        self.drop = nn.Dropout(DROPOUT)
        self.linear = nn.Linear(self.inputs.shape[1], 2)
        nn.init.zeros_(self.linear.weight)  # all tokens count alike, and for nothing

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(B,) scores of step ends; rows of an answer stand together."""
        first, until = int(self.begin[rows].min()), int(self.end[rows].max())
        weight = self.drop(self.linear.weight) / self.scale  # faster than to standardize tokens
        bias = self.linear.bias - weight @ self.mean
        tokens = self.inputs[first:until].float()
        gate, value = nn.functional.linear(tokens, weight, bias).unbind(1)
        gate = torch.sigmoid(gate)
        sums = torch.stack([gate * value, gate]).double().cumsum(1)
        sums = nn.functional.pad(sums, (1, 0))
        above, below = sums[:, self.end[rows] - first] - sums[:, self.begin[rows] - first]
        scores: torch.Tensor = (above / below).float()
        return scores

    def tensors(self, slope: float, shift: float) -> dict[str, Floats]:
        """The weights with standardization and calibration inside."""
        weight = self.linear.weight / self.scale
        bias = self.linear.bias - weight @ self.mean
        factor, term = torch.tensor([[1.0], [slope]]), torch.tensor([0.0, shift])
        weight, bias = factor * weight, factor[:, 0] * bias + term
        found = {"tokens.weight": weight[:, :2], "tokens.bias": bias}
        if weight.shape[1] > 2:
            found["probe.weight"] = weight[:, 2:]
        return _plain(found)


FORMS: dict[Form, type[_Layers | _Gated]] = {"layers": _Layers, "gated": _Gated}


def fit(
    samples: Samples,
    form: Form,
    layers: Sequence[int],
    stopping: Ints,
    judging: Ints,
    seed: int = 0,
) -> Fitted:
    """Heads fitted to the questions that neither say when to stop nor judge."""
    torch.manual_seed(seed)
    inside = np.flatnonzero(~np.isin(samples.question, np.concatenate([stopping, judging])))
    outside = np.flatnonzero(np.isin(samples.question, stopping))
    model = FORMS[form](samples, layers, inside)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    best, kept, since = -1.0, copy.deepcopy(model.state_dict()), 0
    draw = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        model.train()
        for rows in _batches(samples, inside, draw):
            loss = _pairs(model(torch.from_numpy(rows)), samples, rows)
            if loss is not None:
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        now = _auc(model, samples, outside)
        since = 0 if now > best else since + 1
        if now > best:
            best, kept = now, copy.deepcopy(model.state_dict())
        if since >= PATIENCE:
            break
    model.load_state_dict(kept)
    found = _scores(model, samples, np.arange(len(samples.question)))
    slope, shift = _calibrated(found[outside], samples.right[outside])
    tensors = model.tensors(slope, shift)
    return Fitted(form, tuple(layers), tensors, best, slope * found + shift)


def _scores(model: nn.Module, samples: Samples, rows: Ints) -> Floats:
    """(B,) of step ends."""
    model.eval()
    with torch.inference_mode():
        parts = [model(torch.from_numpy(part)).numpy() for part in _chunks(samples, rows)]
    return np.concatenate(parts)


def _auc(model: nn.Module, samples: Samples, rows: Ints) -> float:
    ends = rows[samples.last[rows]]
    return auc(_scores(model, samples, ends), samples.right[ends], samples.question[ends])


def _pairs(found: torch.Tensor, samples: Samples, rows: Ints) -> torch.Tensor | None:
    """Logistic loss over pairs of a right and a wrong path of one question, of equal depth."""
    question, depth = samples.question[rows], samples.depth[rows]
    right, last = samples.right[rows], samples.last[rows]
    alike = (depth[:, None] == depth) | (last[:, None] & last)
    good, bad = np.nonzero((question[:, None] == question) & alike & right[:, None] & ~right)
    if not len(good):
        return None
    return nn.functional.softplus(found[bad] - found[good]).mean()


def _batches(samples: Samples, rows: Ints, draw: np.random.Generator) -> Iterator[Ints]:
    """Rows of some questions each, in a new order."""
    questions = np.unique(samples.question[rows])
    starts = draw.permutation(np.arange(0, len(questions), QUESTIONS))
    for start in starts:
        some = questions[start : start + QUESTIONS]
        yield rows[np.isin(samples.question[rows], some)]


def _chunks(samples: Samples, rows: Ints) -> Iterator[Ints]:
    questions = np.unique(samples.question[rows])
    for start in range(0, len(questions), QUESTIONS):
        yield rows[np.isin(samples.question[rows], questions[start : start + QUESTIONS])]


def _step_inputs(samples: Samples, layers: Sequence[int]) -> Floats:
    """(S, F + 2 W): features, states at the end, states on average."""
    columns = samples.columns(layers)
    states = samples.states[:, columns].astype(np.float32)
    begin = np.where(samples.depth == 0, samples.begin, np.roll(samples.end, 1))
    means = np.add.reduceat(states, begin) if len(columns) else states[samples.end - 1]
    means /= (samples.end - begin)[:, None]
    return np.concatenate([samples.features, states[samples.end - 1], means], axis=1)


def _moments(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and deviations; what hardly varies is left as it is."""
    deviation = inputs.std(0)
    return inputs.mean(0), torch.where(deviation > FLOOR, deviation, 1.0)


def _calibrated(found: Floats, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift that make a logit of scores: what was held out says how sure they are."""
    values, labels = torch.from_numpy(found).double(), torch.from_numpy(right).double()
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        logits = line[0] * values + line[1]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    slope, shift = line.detach().tolist()
    return max(slope, FLOOR), shift


def _plain(tensors: dict[str, torch.Tensor]) -> dict[str, Floats]:
    return {n: np.ascontiguousarray(t.detach().float().numpy()) for n, t in tensors.items()}
