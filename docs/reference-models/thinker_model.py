"""The policy's network with a start and an end of thoughts and a mixing head (Quiet-STaR).

A thought of position p is START, five sampled tokens and END, at the positions after p; its
blocks see the text up to p and themselves. Tensor names are those of the released checkpoint.
Source: Zelikman et al. 2024 and its code, with the weight w on the thought.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, silu

VOCAB, START, END = 1024, 1024, 1025
THOUGHT = 5  # sampled tokens
STAGES = THOUGHT + 2
EMBEDDING_SCALE = 100.0  # what the stored START and END are multiplied by
HIDDEN, FEED_FORWARD, LAYERS, GROUPS, SHARE, DIM = 256, 768, 4, 2, 2, 64
ROPE_THETA, EPS = 10000.0, 1e-6

Cache = list[tuple[Tensor, Tensor]]


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of (B, H, T, DIM), halves rotated."""
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat([-right, left], -1) * sin


class Layer(nn.Module):
    """One decoder layer with grouped queries; plain attention under an additive mask."""

    def __init__(self) -> None:
        super().__init__()
        wide, narrow = GROUPS * SHARE * DIM, GROUPS * DIM
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": nn.Linear(HIDDEN, wide, bias=False),
                "k_proj": nn.Linear(HIDDEN, narrow, bias=False),
                "v_proj": nn.Linear(HIDDEN, narrow, bias=False),
                "o_proj": nn.Linear(wide, HIDDEN, bias=False),
            }
        )
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(HIDDEN, FEED_FORWARD, bias=False),
                "up_proj": nn.Linear(HIDDEN, FEED_FORWARD, bias=False),
                "down_proj": nn.Linear(FEED_FORWARD, HIDDEN, bias=False),
            }
        )
        self.input_layernorm = nn.RMSNorm(HIDDEN, eps=EPS)
        self.post_attention_layernorm = nn.RMSNorm(HIDDEN, eps=EPS)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rows, length = x.shape[:2]
        h = self.input_layernorm(x)
        q, k, v = (
            self.self_attn[f"{name}_proj"](h).view(rows, length, -1, DIM).transpose(1, 2)
            for name in "qkv"
        )
        q, k = turn(q, cos, sin), turn(k, cos, sin)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        grouped = q.reshape(rows, GROUPS, SHARE * length, DIM) * DIM**-0.5
        scores = (grouped @ k.transpose(2, 3)).view(rows, GROUPS, SHARE, length, -1)
        shares = (scores + mask[:, None, None]).softmax(-1).to(v.dtype)
        y = (shares.view(rows, GROUPS, SHARE * length, -1) @ v).view(rows, -1, length, DIM)
        x = x + self.self_attn["o_proj"](y.transpose(1, 2).reshape(rows, length, -1))
        h = self.post_attention_layernorm(x)
        gated = silu(self.mlp["gate_proj"](h)) * self.mlp["up_proj"](h)
        return x + self.mlp["down_proj"](gated), (k, v)


@dataclass(frozen=True, slots=True)
class Read:
    """A text (B, L) as the network sees it: hidden states after the last norm, and the cache."""

    hidden: Tensor  # (B, L, HIDDEN)
    cache: Cache

    def detached(self) -> Cache:
        return [(k.detach(), v.detach()) for k, v in self.cache]


class Thinker(nn.Module):
    """Base stream, thought stream and mixing head over one set of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(VOCAB + 2, HIDDEN),
                "layers": nn.ModuleList(Layer() for _ in range(LAYERS)),
                "norm": nn.RMSNorm(HIDDEN, eps=EPS),
            }
        )
        self.lm_head = nn.Linear(HIDDEN, VOCAB + 2, bias=False)
        last = nn.Linear(HIDDEN, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.talk_head = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Linear(2 * HIDDEN, HIDDEN),
                    nn.ReLU(),
                    nn.Linear(HIDDEN, HIDDEN),
                    nn.ReLU(),
                    last,
                )
            ]
        )
        self.start_embedding = nn.Parameter(torch.zeros(2, HIDDEN))
        self.end_embedding = nn.Parameter(torch.zeros(2, HIDDEN))
        self.frequencies = ROPE_THETA ** -(torch.arange(0, DIM, 2) / DIM)

    def load_policy(self, weights: dict[str, Tensor], opening: int) -> None:
        """The policy's weights; START, END and their rows begin as the token `opening`."""
        begun = weights["model.embed_tokens.weight"][opening].float()
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = torch.cat([weights[name], weights[name][[opening] * 2]])
        self.load_state_dict(weights, strict=False)
        with torch.no_grad():
            self.start_embedding[0] = self.end_embedding[0] = begun / EMBEDDING_SCALE

    def embed(self, ids: Tensor) -> Tensor:
        words = self.model["embed_tokens"].weight[:VOCAB]
        special = (self.start_embedding[:1], self.end_embedding[:1])
        return embedding(ids, torch.cat([words, *(x * EMBEDDING_SCALE for x in special)]))

    def trunk(
        self, ids: Tensor, places: Tensor, mask: Tensor, past: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """Hidden states of ids (B, T) after the last norm; mask (B, T, past and new) is added."""
        angles = (places[..., None] * self.frequencies).repeat(1, 1, 2)[:, None]
        x, cache = self.embed(ids), []
        cos, sin = angles.cos(), angles.sin()
        for i, layer in enumerate(self.model["layers"]):
            x, kept = layer(x, cos, sin, mask, past[i] if past else None)
            cache.append(kept)
        return self.model["norm"](x), cache

    def logits(self, hidden: Tensor) -> Tensor:
        """Of the words alone: START and END are never written."""
        return self.lm_head(hidden)[..., :VOCAB].float()

    def read(self, ids: Tensor) -> Read:
        """A text (B, L), padded on the right."""
        length = ids.shape[1]
        seen = torch.ones(length, length).tril()
        return Read(*self.trunk(ids, torch.arange(length)[None], blocked(seen)[None]))

    def sample(self, read: Read, after: Tensor, temperature: float = 1.0) -> Tensor:
        """Thoughts (B, K, THOUGHT) after the positions `after` (B, K), one stage at a time."""
        rows, count = after.shape
        past, text = read.detached(), seen_text(after, read.hidden.shape[1])
        ids, thought = torch.full((rows, count), START), []
        for stage in range(THOUGHT):
            own = torch.eye(count).repeat(1, stage + 1).expand(rows, -1, -1)
            mask = blocked(torch.cat([text, own], 2))
            hidden, past = self.trunk(ids, after + 1 + stage, mask, past)
            chances = (self.logits(hidden) / temperature).softmax(-1)
            ids = torch.multinomial(chances.view(-1, VOCAB), 1).view(rows, count)
            thought.append(ids)
        return torch.stack(thought, 2)

    def think(self, read: Read, after: Tensor, thoughts: Tensor) -> Tensor:
        """Hidden states (B, STAGES, K, HIDDEN) of given thoughts (B, K, THOUGHT), all at once."""
        rows, count = after.shape
        text = seen_text(after, read.hidden.shape[1]).repeat(1, STAGES, 1)
        own = torch.kron(torch.ones(STAGES, STAGES).tril(), torch.eye(count))
        mask = blocked(torch.cat([text, own.expand(rows, -1, -1)], 2))
        ends = [torch.full((rows, 1, count), x) for x in (START, END)]
        ids = torch.cat([ends[0], thoughts.transpose(1, 2), ends[1]], 1)  # (B, STAGES, K)
        places = after[:, None] + torch.arange(1, STAGES + 1)[:, None]
        hidden, _ = self.trunk(ids.flatten(1), places.flatten(1), mask, read.cache)
        return hidden.view(rows, STAGES, count, HIDDEN)

    def weight(self, base: Tensor, thought: Tensor) -> Tensor:
        """The share w (..., 1) of the thought; it has no bounds."""
        return self.talk_head[0](torch.cat([base, thought], -1)).float()

    def mixed(self, base: Tensor, thought: Tensor, weight: Tensor) -> Tensor:
        return self.logits((1 - weight) * base + weight * thought)


def blocked(seen: Tensor) -> Tensor:
    """0 where seen is 1, and a number that softmax makes 0 elsewhere."""
    return (seen - 1) * 1e9


def seen_text(after: Tensor, length: int) -> Tensor:
    """(B, K, L): 1 where a thought after position p sees the text."""
    return (torch.arange(length) <= after[..., None]).float()


def rows_of(ids: Sequence[Sequence[int]], fill: int) -> Tensor:
    """(B, longest), padded on the right."""
    width = max(map(len, ids))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in ids])
