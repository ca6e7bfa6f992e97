"""Tiny random reward models in the layouts of public repositories."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from convert.gguf_tokenizer import PRE_TYPES

Tiny = Callable[..., Any]
HIDDEN = 256
QWEN_CHAT = (  # without a system message of its own
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
)
LLAMA_CHAT = (  # of Llama 3.1, where no tools and no system message are given
    "{{ bos_token + '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
    "December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>' }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim "
    "+ '<|eot_id|>' }}{% endfor %}"
)
LLAMA_SPECIAL = ["begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id"]


def shepherd(folder: Path, tiny: Tiny, _texts: Sequence[str]) -> None:
    """A Mistral with + and - among its tokens."""
    tiny(folder, tf.MistralForCausalLM, tf.MistralConfig, initializer_range=0.04)


def rlhflow(folder: Path, tiny: Tiny, texts: Sequence[str]) -> None:
    """A Llama 3.1 that answers a user's steps with + or -."""
    tiny(folder, tf.LlamaForCausalLM, tf.LlamaConfig, initializer_range=0.04, bos_token_id=0)
    special = [f"<|{name}|>" for name in LLAMA_SPECIAL]
    _tokenizer(folder, "llama-bpe", texts, special, LLAMA_CHAT, bos=special[0], adds_bos=True)


def skywork(folder: Path, tiny: Tiny, texts: Sequence[str]) -> None:
    """A Qwen2 with a value head."""
    _qwen(folder, tiny, texts, bos="<|endoftext|>")
    layer = torch.nn.Linear(HIDDEN, 1)
    head = {"v_head.summary.weight": layer.weight, "v_head.summary.bias": layer.bias}
    _give_head(folder, head, "Qwen2ForPrmModel")


def qwen_prm(folder: Path, tiny: Tiny, texts: Sequence[str]) -> None:
    """A Qwen2 with a classifier of two layers."""
    _qwen(folder, tiny, texts)
    first, last = torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.Linear(HIDDEN, 2)
    head = {
        "score.0.weight": first.weight,
        "score.0.bias": first.bias,
        "score.2.weight": last.weight,
        "score.2.bias": last.bias,
    }
    _give_head(folder, head, "Qwen2ForProcessRewardModel")


def trl_qwen(folder: Path, tiny: Tiny, texts: Sequence[str]) -> None:
    """TRL's token classifier over a Qwen2."""
    _qwen(folder, tiny, texts, special=())
    layer = torch.nn.Linear(HIDDEN, 2)
    head = {"score.weight": layer.weight, "score.bias": layer.bias}
    _give_head(folder, head, "Qwen2ForTokenClassification")


def trl_mistral(folder: Path, tiny: Tiny, _texts: Sequence[str]) -> None:
    """TRL's token classifier over a Mistral."""
    tiny(folder, tf.MistralForCausalLM, tf.MistralConfig, initializer_range=0.04)
    layer = torch.nn.Linear(HIDDEN, 2)
    head = {"score.weight": layer.weight, "score.bias": layer.bias}
    _give_head(folder, head, "MistralForTokenClassification")


def _qwen(
    folder: Path,
    tiny: Tiny,
    texts: Sequence[str],
    *,
    special: Sequence[str] = ("<extra_0>",),
    bos: str | None = None,
) -> None:
    tiny(folder, tf.Qwen2ForCausalLM, tf.Qwen2Config, initializer_range=0.04, bos_token_id=0)
    _tokenizer(folder, "qwen2", texts, [*_QWEN_SPECIAL, *special], QWEN_CHAT, bos=bos)


_QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def _give_head(folder: Path, head: dict[str, torch.Tensor], architecture: str) -> None:
    """Put a head in the place of the output projection."""
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("lm_head.weight", None)
    tensors |= {name: tensor.detach() for name, tensor in head.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": [architecture]}))


def _tokenizer(
    folder: Path,
    pre: str,
    texts: Sequence[str],
    special: list[str],
    chat: str,
    *,
    bos: str | None = None,
    adds_bos: bool = False,
) -> None:
    """A byte-level BPE in which the end of a line is one token with the full stop before it."""
    for path in folder.glob("tokenizer*"):
        path.unlink()
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    regex = {name: pattern for pattern, name in PRE_TYPES.items()}[pre]
    parts = [
        pre_tokenizers.Split(Regex(regex), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{text}\n{text}\n\n" for text in texts], trainer)
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, 0)]
        )
    made = tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=special[2]
    )
    made.chat_template = chat
    made.save_pretrained(folder)
