"""The losses of the reward model: its own at the tags, and those that teach single tokens."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from batches import pad
from reward_marks import DIGIT_WEIGHT, NONE, Marked
from reward_model import SUM_SIZES, Hidden, Learner
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, softplus
from train_policy import EOS

WEIGHTS = {"tag": 1.0, "rank": 0.3, "check": 1.0, "recall": 0.5, "predict": 0.5, "sums": 0.2}
UNRANKED = -1

Member = tuple[int, Marked]  # the problem's number, or `UNRANKED` for a drill


def losses(learner: Learner, batch: Sequence[Member]) -> dict[str, Tensor]:
    """Each loss that the batch has tokens for, unweighted, under its name in `WEIGHTS`."""
    ids = pad([m.ids for _, m in batch], EOS, torch.long)
    tags = pad([m.tags for _, m in batch], NONE, torch.long)
    checks = pad([m.checks for _, m in batch], NONE, torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = learner(ids)
        found = _predictions(learner, hidden, batch)
        found |= _sums(learner, hidden, batch)
        checked = checks != NONE
        check = learner.check(hidden.check[checked])[:, 0].float()
    found["check"] = binary_cross_entropy_with_logits(check, checks[checked].float())
    tagged = tags != NONE
    if tagged.any():
        labels = tags[tagged].float()
        found["tag"] = binary_cross_entropy_with_logits(hidden.score[tagged], labels)
    return found | _ranks(hidden.score, batch)


def total(found: dict[str, Tensor]) -> Tensor:
    """The weighted sum."""
    return torch.stack([WEIGHTS[name] * loss for name, loss in found.items()]).sum()


def _predictions(learner: Learner, hidden: Hidden, batch: Sequence[Member]) -> dict[str, Tensor]:
    """Predicting the right next token, and recalling one position later which digit it was."""
    targets = pad([m.targets for _, m in batch], 0, torch.long)
    weights = pad([m.weights for _, m in batch], 0.0, torch.float)
    wanted, digits = weights > 0, weights[:, :-1] == DIGIT_WEIGHT
    logits = learner.predict(learner.predict_norm(hidden.predict[wanted])).float()
    each = cross_entropy(logits, targets[wanted], reduction="none")
    recalled = learner.recall(hidden.recall[:, 1:][digits]).float()
    return {
        "predict": (each * weights[wanted]).sum() / weights[wanted].sum(),
        "recall": cross_entropy(recalled, targets[:, :-1][digits]),
    }


def _sums(learner: Learner, hidden: Hidden, batch: Sequence[Member]) -> dict[str, Tensor]:
    """Reading the digits and carries of every result before it is written."""
    where = [(row, *taught) for row, (_, m) in enumerate(batch) for taught in m.sums]
    if not where:
        return {}
    rows, places, wanted = (torch.tensor(x) for x in zip(*where, strict=True))
    parts = learner.sums(hidden.sums[rows, places]).float().split(SUM_SIZES, -1)
    each = [
        cross_entropy(part, column, ignore_index=NONE)
        for part, column in zip(parts, wanted.T, strict=True)
        if (column != NONE).any()
    ]
    return {"sums": torch.stack(each).sum()}


def _ranks(score: Tensor, batch: Sequence[Member]) -> dict[str, Tensor]:
    """Ranking right solutions of a problem above its wrong ones, at their last tags."""
    last: dict[int, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
    for row, (problem, marked) in enumerate(batch):
        if problem != UNRANKED:
            end = len(marked.ids) - 1
            last[problem][marked.tags[end]].append(score[row, end])
    pairs = [
        softplus(torch.stack(wrong)[:, None] - torch.stack(right)).mean()
        for wrong, right in last.values()
        if wrong and right
    ]
    return {"rank": torch.stack(pairs).mean()} if pairs else {}
