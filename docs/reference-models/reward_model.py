"""The reward model while it is trained: the policy, new layers above it, and heads that teach it.

An error is a digit that the policy would not have written. What the policy expects exists only
after its last layer and one position earlier, so layers above it compare the two:

    layers 1-4    the policy's; `sums` reads the digits and carries of a result from layer 4
    layer 5       `predict` reads the next token
    layer 6       `recall` reads the token that should stand here, predicted one position earlier
    layer 7       `check` reads whether the result written so far is right
    layer 8       `+` and `-` at the tags: this step and all before it are right
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from train_policy import ROPE_THETA
from transformers import MistralConfig, MistralForCausalLM

LAYERS, SUMS_AT, PREDICT_AT, RECALL_AT, CHECK_AT = 8, 4, 5, 6, 7
SUM_SIZES = (10, 11, 11, 2, 2)  # units, tens, hundreds (the last class: none), two carries


@dataclass(frozen=True, slots=True)
class Hidden:
    """Activations (B, T, D) for the heads, and scores (B, T): the logit of `+` less that of `-`."""

    sums: Tensor
    predict: Tensor
    recall: Tensor
    check: Tensor
    score: Tensor


class Learner(nn.Module):
    """A reward model in `model`, and the heads that go once it is trained."""

    def __init__(self, policy: MistralForCausalLM, plus: int, minus: int) -> None:
        super().__init__()
        config = MistralConfig.from_dict(policy.config.to_dict() | {"num_hidden_layers": LAYERS})
        config.rope_theta = ROPE_THETA
        config._attn_implementation = "eager"  # on a CPU its backward pass is the faster one
        self.model = MistralForCausalLM(config)
        self.model.load_state_dict(policy.state_dict(), strict=False)
        self.below = policy.config.num_hidden_layers
        for layer in self.model.model.layers[self.below :]:  # which pass their input on at first
            nn.init.zeros_(layer.self_attn.o_proj.weight)
            nn.init.zeros_(layer.mlp.down_proj.weight)
        self.predict_norm = _norm(config)
        self.predict_norm.load_state_dict(policy.model.norm.state_dict())
        self.predict = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.predict.load_state_dict(policy.lm_head.state_dict())
        self.sums = nn.Sequential(_norm(config), nn.Linear(config.hidden_size, sum(SUM_SIZES)))
        self.recall = nn.Sequential(_norm(config), nn.Linear(config.hidden_size, config.vocab_size))
        self.check = nn.Sequential(_norm(config), nn.Linear(config.hidden_size, 1))
        self.plus, self.minus = plus, minus

    def forward(self, ids: Tensor) -> Hidden:
        """Everything the losses need of token ids (B, T), padded on the right."""
        output = self.model.model(input_ids=ids, use_cache=False, output_hidden_states=True)
        weight = self.model.lm_head.weight
        last = output.last_hidden_state
        score = last @ (weight[self.plus] - weight[self.minus]).to(last.dtype)
        at = output.hidden_states
        return Hidden(at[SUMS_AT], at[PREDICT_AT], at[RECALL_AT], at[CHECK_AT], score.float())

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Parameters that came from the policy, and new ones."""
        kept = [self.model.lm_head, self.model.model.embed_tokens, self.predict_norm, self.predict]
        kept += self.model.model.layers[: self.below]
        old = {id(p) for module in kept for p in module.parameters()}
        both = list(self.parameters())
        return [p for p in both if id(p) in old], [p for p in both if id(p) not in old]


def _norm(config: MistralConfig) -> nn.RMSNorm:
    return nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)


def average(mean: list[Tensor], parameters: list[nn.Parameter], keep: float) -> None:
    """Move a running mean of the parameters, in place."""
    torch._foreach_lerp_(mean, [p.detach() for p in parameters], 1 - keep)
