"""Tiny random checkpoints in the files of public repositories."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from convert.artifact import Role
from tests.layouts.families import LAYERS, Config, known, multimodal
from tests.layouts.vocabularies import Vocabulary

State = dict[str, torch.Tensor]
Files = Literal["safetensors", "bin", "safetensors and bin", "safetensors and consolidated"]
NOT_SHAPES = ("architectures", "torch_dtype", "transformers_version", "auto_map", "_name_or_path")
NOT_SHAPES += ("transformers.js_config", "id2label", "label2id")
WITHIN = "language_model."
CONSOLIDATED = {  # names in Mistral's own format
    "model.": "",
    "embed_tokens": "tok_embeddings",
    "lm_head": "output",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """A public repository: what it holds, and what has to be made of it.

    `protocol` is the preset of a policy's prompt, or the recipe of a reward model. `ends` are
    tokens that config.json names, `generation_ends` those of generation_config.json.
    """

    repository: str
    role: Role
    protocol: str
    config: Config
    vocabulary: Vocabulary
    ends: tuple[str, ...] = ("</s>",)
    generation_ends: tuple[str, ...] = ()
    shards: int = 1
    files: Files = "safetensors"
    changed: Callable[[State], State] = dict  # heads, and tensors of other names
    sees: bool = False  # the decoder of a model that reads images too


def save(layout: Layout, folder: Path, vocabulary: Path) -> None:
    """Write a checkpoint with the tokenizer that stands in a folder."""
    folder.mkdir(parents=True)
    for path in vocabulary.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tokenizer = tf.AutoTokenizer.from_pretrained(vocabulary)
    config = layout.config | {"eos_token_id": _ids(tokenizer, layout.ends)}
    config["vocab_size"] = -(-len(tokenizer) // 64) * 64  # rows beyond the last token, or none
    if tokenizer.bos_token_id is not None:
        config["bos_token_id"] = tokenizer.bos_token_id
    written = multimodal(config) if layout.sees else config
    (folder / "config.json").write_text(json.dumps(written, indent=2), encoding="utf-8")
    if layout.generation_ends:
        ids = _ids(tokenizer, layout.generation_ends)
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
    state = layout.changed(random_state(config))
    state = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in state.items()}
    if "safetensors" in layout.files:
        _save_shards(folder, state, layout.shards, "model", "safetensors")
    if "bin" in layout.files:
        _save_shards(folder, state, layout.shards, "pytorch_model", "bin")
    if "consolidated" in layout.files:
        save_file(_consolidated(state), folder / "consolidated.safetensors")
        (folder / "params.json").write_text('{"dim": 64}')


def random_state(config: Mapping[str, Any]) -> State:
    """Seeded weights of a causal model, of a size at which logits tell tokens apart."""
    model = causal_model(config)
    generator = torch.Generator().manual_seed(1)
    state = {}
    for name, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if "norm" in name:
            state[name] = 1 + 0.2 * noise
        else:
            state[name] = noise * (0.5 if "embed" in name else 0.2 if "bias" in name else 0.12)
    if config["tie_word_embeddings"]:
        del state["lm_head.weight"]
    return state


def causal_model(config: Mapping[str, Any]) -> Any:
    """A model of transformers with that configuration, its weights not yet set."""
    shapes = {key: value for key, value in known(dict(config)).items() if key not in NOT_SHAPES}
    return tf.AutoModelForCausalLM.from_config(tf.AutoConfig.for_model(**shapes)).eval()


def exact_model(layout: Layout, folder: Path) -> Any:
    """What transformers makes of a checkpoint, in float32."""
    if not layout.sees:
        return tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    text = json.loads((folder / "config.json").read_text(encoding="utf-8"))["text_config"]
    model, state = causal_model(text), {}
    for path in folder.glob("model*.safetensors"):
        state |= {name: tensor.float() for name, tensor in load_file(path).items()}
    theirs = {name.removeprefix(WITHIN): t for name, t in state.items() if name.startswith(WITHIN)}
    missing, extra = model.load_state_dict(theirs, strict=False)
    assert (missing, extra) == (["lm_head.weight"], [])
    model.tie_weights()
    return model


def _ids(tokenizer: Any, names: tuple[str, ...]) -> Any:
    ids = tokenizer.convert_tokens_to_ids(list(names))
    return ids if len(ids) > 1 else ids[0]


def _save_shards(folder: Path, state: State, shards: int, stem: str, suffix: str) -> None:
    names, places = list(state), {}
    size = math.ceil(len(names) / shards)
    for k in range(shards):
        part = {name: state[name] for name in names[k * size : (k + 1) * size]}
        number = "" if shards == 1 else f"-{k + 1:05d}-of-{shards:05d}"
        file = f"{stem}{number}.{suffix}"
        if suffix == "bin":
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    if shards > 1:
        index = {"metadata": {"total_size": 0}, "weight_map": places}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


def _consolidated(state: State) -> State:
    renamed = {}
    for name, tensor in state.items():
        for theirs, mistrals in CONSOLIDATED.items():
            name = name.replace(theirs, mistrals)
        renamed[name] = tensor
    return renamed


def _noise(seed: int, *shape: int, scale: float = 0.15) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_inverse_frequencies(state: State) -> State:
    """Rotary frequencies that old releases saved along."""
    frequencies = 1 / 10000 ** (torch.arange(0, 16, 2) / 16)
    names = [f"model.layers.{k}.self_attn.rotary_emb.inv_freq" for k in range(LAYERS)]
    return state | {name: frequencies.clone() for name in names}


def with_talk_head(state: State) -> State:
    """Quiet-STaR's head, and embeddings of START and END: a mean and a spread."""
    width = state["model.norm.weight"].shape[0]
    return state | {
        "start_embedding": torch.stack([_noise(2, width) / 60, _noise(3, width)]),
        "end_embedding": torch.stack([_noise(4, width) / 60, _noise(5, width)]),
        "talk_head.0.0.weight": _noise(6, width, 2 * width, scale=0.1),
        "talk_head.0.0.bias": _noise(7, width, scale=0.1),
        "talk_head.0.2.weight": _noise(8, width, width, scale=0.1),
        "talk_head.0.2.bias": _noise(9, width, scale=0.1),
        "talk_head.0.4.weight": _noise(10, 1, width, scale=0.1),
    }


def with_value_head(state: State) -> State:
    """A scalar head beside the model's own output projection."""
    width = state["model.norm.weight"].shape[0]
    head = {"v_head.summary.weight": _noise(2, 1, width), "v_head.summary.bias": _noise(3, 1)}
    return state | head


def with_classifier(state: State) -> State:
    """One layer with two outputs in the output projection's place."""
    width = state["model.norm.weight"].shape[0]
    return _headless(state) | {"score.weight": _noise(2, 2, width), "score.bias": _noise(3, 2)}


def with_deep_classifier(state: State) -> State:
    """Two layers, likewise."""
    width = state["model.norm.weight"].shape[0]
    return _headless(state) | {
        "score.0.weight": _noise(2, width, width, scale=0.1),
        "score.0.bias": _noise(3, width),
        "score.2.weight": _noise(4, 2, width),
        "score.2.bias": _noise(5, 2),
    }


def beside_images(state: State) -> State:
    """A decoder inside a model that reads images too."""
    named = {f"{WITHIN}{name}": tensor for name, tensor in state.items()}
    return named | {"vision_tower.ln_pre.weight": torch.ones(8)}


def with_untied_copy(state: State) -> State:
    """An output projection that repeats the embeddings, though config.json ties them."""
    return state | {"lm_head.weight": state["model.embed_tokens.weight"].clone()}


def _headless(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if name != "lm_head.weight"}
