"""The decoder of a checkpoint in torch: as transformers loads it, or from tensors one by one.

The latter for multimodal models, what training tools wrapped, weights of eight bits, and Ministral
3 under a transformers that knows Mistral alone.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    PretrainedConfig,
)

from convert.checkpoint import Checkpoint
from convert.hf_files import HERE, opening
from convert.mapping import tensor_map
from convert.refusal import Refusal
from convert.rope import rope_settings, temperature
from convert.thoughts import THOUGHT_TENSORS

MINISTRAL, MISTRAL = "ministral3", "mistral"
NOT_OF_DECODERS = (  # keys of a configuration
    "model_type",
    "architectures",
    "auto_map",
    "text_config",
    "vision_config",
    "quantization_config",
    "transformers_version",
)
OWN_ROPE = ("rope_theta", "llama_4_scaling_beta")  # of Ministral 3, elsewhere in Mistral's


def load_decoder(checkpoint: Checkpoint, dtype: torch.dtype, *, headless: bool) -> Any:
    """The model of a checkpoint on the CPU; without an output projection where it is `headless`.

    Raises:
        Refusal: if it cannot be read; says why.
    """
    family: Any = AutoModel if headless else AutoModelForCausalLM
    with opening(checkpoint.folder):
        if not checkpoint.as_saved or checkpoint.architecture not in CONFIG_MAPPING:
            return _assembled(family, checkpoint, dtype)
        config = AutoConfig.from_pretrained(checkpoint.folder, **HERE)
        config.vocab_size = checkpoint.shape.vocab  # as the weights have it
        if any(name.startswith(THOUGHT_TENSORS) for name in checkpoint.tensors):
            family = _thinker_class(config)
        return family.from_pretrained(checkpoint.folder, config=config, dtype=dtype, **HERE)


def _thinker_class(config: Any) -> Any:
    """The model class of a configuration, that passes over what a thinker has beside it."""
    base = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    beside = [f"^{re.escape(prefix)}" for prefix in THOUGHT_TENSORS]
    return type(base.__name__, (base,), {"_keys_to_ignore_on_load_unexpected": beside})


def _config(checkpoint: Checkpoint) -> PretrainedConfig:
    """The configuration of the decoder alone, as transformers wants it."""
    fields = {k: v for k, v in checkpoint.config.items() if k not in NOT_OF_DECODERS}
    kind = checkpoint.architecture
    if kind == MINISTRAL and kind not in CONFIG_MAPPING:
        rope = rope_settings(checkpoint)
        fields.pop("rope_parameters", None)
        fields["rope_theta"] = rope["rope_theta"]
        fields["rope_scaling"] = {k: v for k, v in rope.items() if k not in OWN_ROPE}
        fields["head_dim"] = checkpoint.shape.head_dim
        fields.setdefault("sliding_window", None)
        kind = MISTRAL
    return AutoConfig.for_model(kind, **fields)


@torch.no_grad()
def _assembled(family: Any, checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """A model of an automatic class, its weights read one by one."""
    config = _config(checkpoint)
    tensor_map(checkpoint)  # all are there, in their shapes, and no other stays behind
    with torch.device("meta"):
        model = family.from_config(config, dtype=dtype)
    model.to_empty(device="cpu")
    backbone = getattr(model, "model", model)
    backbone.rotary_emb = type(backbone.rotary_emb)(config)  # its tables are in no file
    model.tie_weights()
    for name, weight in model.named_parameters():
        weight.copy_(torch.from_numpy(_tensor(checkpoint, name).float32()))
    if config.model_type == MISTRAL and (growth := temperature(checkpoint)):
        _grow_queries(backbone, *growth)
    return model


def _tensor(checkpoint: Checkpoint, name: str) -> Any:
    for each in (name, f"model.{name}", name.removeprefix("model.")):
        if each in checkpoint.tensors:
            return checkpoint.tensors[each]
    raise Refusal(f"{checkpoint.folder} lacks tensor {name}")


def _grow_queries(backbone: Any, beta: float, length: int) -> None:
    """Multiply queries as Ministral 3 does; rotation is linear, so that it may be before it."""
    factors: list[torch.Tensor] = []  # (B, S, 1) of the forward pass under way

    def begin(_module: Any, _arguments: Any, named: dict[str, Any]) -> None:
        blocks = torch.floor(named["position_ids"] / length)
        factors[:] = [(1 + beta * torch.log1p(blocks))[..., None]]

    def grow(_module: Any, _inputs: Any, query: torch.Tensor) -> torch.Tensor:
        return query * factors[0].to(query.dtype)

    backbone.register_forward_pre_hook(begin, with_kwargs=True)
    for layer in backbone.layers:
        layer.self_attn.q_proj.register_forward_hook(grow)
