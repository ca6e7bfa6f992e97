"""Write solutions with or without a thought before each token, in float32 with a KV cache."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from sentencepiece import SentencePieceProcessor
from thinker_data import BOS, EOS
from thinker_model import END, START, THOUGHT, Cache, Thinker, blocked
from torch import Tensor

MAX_NEW_TOKENS = 200
ROWS = 64  # solutions written together
COMPACT_EVERY = 8  # tokens between two removals of finished rows


@dataclass(frozen=True, slots=True)
class Thinking:
    """When to think: always (`below` 1), or where the base's best token has less chance."""

    below: float = 1.0
    thought_temperature: float = 1.0


@dataclass(slots=True)
class Written:
    """Solutions, and the number of tokens written and of thoughts they took."""

    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    thoughts: int = 0


@dataclass(slots=True)
class Rows:
    """Unfinished rows: their cache, what they may see of it, and the last hidden state."""

    cache: Cache
    seen: Tensor  # (B, width)
    place: Tensor  # (B,) of the next token
    hidden: Tensor  # (B, HIDDEN)

    def keep(self, rows: Tensor) -> "Rows":
        cache = [(k[rows], v[rows]) for k, v in self.cache]
        return Rows(cache, self.seen[rows], self.place[rows], self.hidden[rows])

    def fed(self, model: Thinker, ids: Tensor) -> "Rows":
        """With one more token each."""
        seen = torch.cat([self.seen, torch.ones(len(ids), 1)], 1)
        mask = blocked(seen)[:, None]
        hidden, cache = model.trunk(ids[:, None], self.place[:, None], mask, self.cache)
        return Rows(cache, seen, self.place + 1, hidden[:, -1])


def start(model: Thinker, prompts: Sequence[Sequence[int]]) -> Rows:
    """Prompts padded on the left and read."""
    width = max(map(len, prompts))
    ids = torch.tensor([[EOS] * (width - len(p)) + list(p) for p in prompts])
    pads = torch.tensor([width - len(p) for p in prompts])
    seen = (torch.arange(width) >= pads[:, None]).float()
    places = (torch.arange(width) - pads[:, None]).clamp(min=0)
    mask = blocked(seen[:, None] * torch.ones(width, width).tril())
    hidden, cache = model.trunk(ids, places, mask)
    return Rows(cache, seen, width - pads, hidden[:, -1])


def pick(logits: Tensor, temperature: float) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1)[:, 0]


def thoughtful(model: Thinker, rows: Rows, temperature: float) -> Tensor:
    """Logits (B, VOCAB) of the next token after one thought each; the thoughts are dropped."""
    base = rows.hidden
    ids = torch.full((len(base),), START)
    for _ in range(THOUGHT):
        rows = rows.fed(model, ids)
        ids = pick(model.logits(rows.hidden), temperature)
    thought = rows.fed(model, ids).fed(model, torch.full_like(ids, END)).hidden
    return model.mixed(base, thought, model.weight(base, thought))


@torch.inference_mode()
def write(
    model: Thinker,
    pieces: SentencePieceProcessor,
    questions: Sequence[str],
    thinking: Thinking | None,
    temperature: float = 0.0,
) -> Written:
    """One solution of each question; without `thinking` the base stream writes alone."""
    written = Written([""] * len(questions))
    prompts = [[BOS, *pieces.encode(question + "\n")] for question in questions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for first in range(0, len(order), ROWS):
        some = order[first : first + ROWS]
        tokens = _write_rows(model, [prompts[i] for i in some], thinking, temperature, written)
        for i, row in zip(some, tokens.tolist(), strict=True):
            written.texts[i] = pieces.decode([x for x in row if x != EOS])
    return written


def _write_rows(
    model: Thinker,
    prompts: list[list[int]],
    thinking: Thinking | None,
    temperature: float,
    written: Written,
) -> Tensor:
    """Tokens (B, MAX_NEW_TOKENS), EOS from each row's end on; counts go into `written`."""
    rows, alive = start(model, prompts), torch.arange(len(prompts))
    tokens = torch.full((len(prompts), MAX_NEW_TOKENS), EOS)
    done = torch.zeros(len(prompts), dtype=torch.bool)
    for t in range(MAX_NEW_TOKENS):
        logits = model.logits(rows.hidden)
        if thinking is not None:
            unsure = (logits.softmax(-1).amax(-1) < thinking.below) | (thinking.below == 1)
            at = (unsure & ~done).nonzero()[:, 0]
            if len(at):
                logits[at] = thoughtful(model, rows.keep(at), thinking.thought_temperature)
            written.thoughts += len(at)
        ids = pick(logits, temperature)
        written.tokens += int((~done).sum())
        tokens[alive, t] = ids.where(~done, EOS)
        done = done | (ids == EOS)
        if done.all():
            break
        if t % COMPACT_EVERY == 0 and done.any():
            at = (~done).nonzero()[:, 0]
            rows, ids, alive, done = rows.keep(at), ids[at], alive[at], done[at]
        rows = rows.fed(model, ids)
    return tokens
