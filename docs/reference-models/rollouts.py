"""Many solutions of the policy, quickly: a static KV cache in bfloat16, finished rows dropped."""

from collections.abc import Sequence

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu
from train_policy import BOS, EOS, ROPE_THETA
from transformers import MistralForCausalLM

MAX_NEW_TOKENS = 200
COMPACT_EVERY = 8  # decoded tokens between two removals of finished rows
COMPACT_FROM = 0.1  # of the rows finished


class Decoder:
    """The policy with a KV cache of fixed width for rows that are padded on the left."""

    def __init__(self, model: MistralForCausalLM) -> None:
        self.weights = {k: v.detach().to(torch.bfloat16) for k, v in model.state_dict().items()}
        config = model.config
        self.layers, self.heads = config.num_hidden_layers, config.num_attention_heads
        self.groups, self.dim = config.num_key_value_heads, config.head_dim
        self.eps = config.rms_norm_eps
        self.frequencies = ROPE_THETA ** -(torch.arange(0, self.dim, 2) / self.dim)

    def start(self, width: int, pads: Tensor) -> None:
        """An empty cache; row i ignores its first pads[i] positions."""
        shape = (self.layers, 2, len(pads), self.groups, width, self.dim)
        self.cache, self.pads = torch.zeros(shape, dtype=torch.bfloat16), pads

    def keep(self, rows: Tensor) -> None:
        """Only these rows stay in the cache; repeats are allowed."""
        self.cache, self.pads = self.cache[:, :, rows], self.pads[rows]

    def feed(self, ids: Tensor, start: int) -> Tensor:
        """Logits (B, V) after the last of ids (B, T), at positions start, start + 1, ..."""
        cos, sin, mask = self._places(start, start + ids.shape[1])
        x = self.weights["model.embed_tokens.weight"][ids]
        for i in range(self.layers):
            x = x + self._attend(
                i, self._norm(x, f"layers.{i}.input_layernorm"), start, cos, sin, mask
            )
            h, mlp = self._norm(x, f"layers.{i}.post_attention_layernorm"), f"layers.{i}.mlp."
            gated = silu(self._project(h, mlp + "gate_proj")) * self._project(h, mlp + "up_proj")
            x = x + self._project(gated, mlp + "down_proj")
        return linear(self._norm(x[:, -1], "norm"), self.weights["lm_head.weight"]).float()

    def _places(self, start: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cosines and sines (B, 1, T, dim) of the rotary embedding, and the mask (B, 1, T, end)."""
        places = torch.arange(start, end) - self.pads[:, None]
        angles = (places.clamp(min=0)[..., None] * self.frequencies).repeat(1, 1, 2)[:, None]
        visible = torch.arange(end) >= self.pads[:, None]
        mask = visible[:, None, None] & (torch.arange(end) <= torch.arange(start, end)[:, None])
        mask[..., 0] |= ~mask.any(-1)  # padding must see something
        return angles.cos().to(torch.bfloat16), angles.sin().to(torch.bfloat16), mask

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return rms_norm(x, (x.shape[-1],), self.weights[f"model.{name}.weight"], self.eps)

    def _project(self, x: Tensor, name: str) -> Tensor:
        return linear(x, self.weights[f"model.{name}.weight"])

    def _attend(
        self, i: int, h: Tensor, start: int, cos: Tensor, sin: Tensor, mask: Tensor
    ) -> Tensor:
        rows, length = h.shape[:2]
        q, k, v = (
            self._project(h, f"layers.{i}.self_attn.{name}_proj")
            .view(rows, length, -1, self.dim)
            .transpose(1, 2)
            for name in "qkv"
        )
        q, k = (
            y * cos + torch.cat([-y[..., self.dim // 2 :], y[..., : self.dim // 2]], -1) * sin
            for y in (q, k)
        )
        end, share = start + length, self.heads // self.groups
        keys, values = self.cache[i]
        keys[:, :, start:end], values[:, :, start:end] = k, v
        keys, values = keys[:, :, :end], values[:, :, :end]
        if length == 1:  # the query heads of a group become query positions
            q = q.reshape(rows, self.groups, share, self.dim)
        else:
            keys, values = (y.repeat_interleave(share, 1) for y in (keys, values))
        y = scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        y = y.reshape(rows, self.heads, length, self.dim).transpose(1, 2)
        return self._project(y.reshape(rows, length, -1), f"layers.{i}.self_attn.o_proj")


@torch.inference_mode()
def sample(
    decoder: Decoder, pieces: SentencePieceProcessor, questions: Sequence[str], count: int
) -> list[list[str]]:
    """`count` solutions of each question at temperature 1, all questions in one batch."""
    prompts = [[BOS, *pieces.encode(question + "\n")] for question in questions]
    width = max(map(len, prompts))
    decoder.start(width + MAX_NEW_TOKENS, torch.tensor([width - len(p) for p in prompts]))
    padded = [[EOS] * (width - len(p)) + p for p in prompts]
    logits = decoder.feed(torch.tensor(padded), 0)
    copies = torch.arange(len(prompts)).repeat_interleave(count)
    decoder.keep(copies)
    written = _decode(decoder, logits[copies], width)
    texts = [pieces.decode([x for x in row if x != EOS]) for row in written.tolist()]
    return [texts[i : i + count] for i in range(0, len(texts), count)]


def _decode(decoder: Decoder, logits: Tensor, width: int) -> Tensor:
    """The sampled tokens (B, T), with EOS from each row's end on."""
    alive = torch.arange(len(logits))
    written = torch.full((len(alive), MAX_NEW_TOKENS), EOS)
    done = torch.zeros(len(alive), dtype=torch.bool)
    for t in range(MAX_NEW_TOKENS):
        ids = torch.multinomial(logits.softmax(-1), 1)[:, 0]
        written[alive, t] = ids.where(~done, EOS)
        done |= ids == EOS
        if done.all():
            break
        if t % COMPACT_EVERY == 0 and done.float().mean() > COMPACT_FROM:
            rows = (~done).nonzero()[:, 0]
            decoder.keep(rows)
            ids, alive, done = ids[rows], alive[rows], done[rows]
        logits = decoder.feed(ids[:, None], width + t)
    return written
