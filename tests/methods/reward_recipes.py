"""Published recipes for step scores, written with transformers and torch.nn alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from safetensors.torch import load_file

Recipe = Callable[[Path, str, Sequence[str]], list[float]]


def _causal(folder: Path) -> Any:
    return tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def _hidden(folder: Path, ids: Sequence[int]) -> torch.Tensor:
    """(T, D): states after the final norm."""
    model = tf.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return torch.as_tensor(model(torch.tensor([ids])).last_hidden_state[0])


def _linear(folder: Path, name: str, states: torch.Tensor) -> torch.Tensor:
    head: dict[str, torch.Tensor] = {}
    for path in folder.glob("model*.safetensors"):
        head |= {key: tensor.float() for key, tensor in load_file(path).items()}
    return torch.nn.functional.linear(states, head[f"{name}.weight"], head[f"{name}.bias"])


def shepherd(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """The model card's code: the whole text at once, scores where the tag stands."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    good, bad = tokenizer.encode("+ -")[1:]
    tag = tokenizer.encode("ки")[-1]
    text = "\n".join(f"{step} ки" for step in steps)
    ids = torch.tensor([tokenizer.encode(f"{question} {text}")])
    with torch.inference_mode():
        scores = _causal(folder)(ids).logits[:, :, [good, bad]].softmax(-1)[:, :, 0]
    return list(scores[ids == tag].tolist())


def rlhflow(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """prm_evaluate.py: a conversation a step, scores three tokens before its end."""
    tokenizer, model = tf.AutoTokenizer.from_pretrained(folder), _causal(folder)
    pair = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]
    conversation: list[dict[str, str]] = []
    scores = []
    for k, step in enumerate(steps):
        text = f"{question} {step}" if k == 0 else step
        conversation += [
            {"role": "user", "content": text},
            {"role": "assistant", "content": "+"},
        ]
        ids = tokenizer.apply_chat_template(conversation, return_tensors="pt")
        with torch.inference_mode():
            scores.append(model(ids).logits[:, -3, pair].softmax(-1)[0, 0].item())
    return scores


def skywork(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """io_utils.py and prm_model.py: every line and its end are encoded apart."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.encode(tokenizer.bos_token + question + "\n")
    ends = []
    for line in "\n".join(steps).split("\n"):
        ids += [*tokenizer.encode(line), tokenizer.encode("\n")[-1]]
        ends.append(len(ids) - 1)
    values = _linear(folder, "v_head.summary", _hidden(folder, ids)[ends])
    return list(values.sigmoid()[:, 0].tolist())


def qwen_prm(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    """The model card's code: a chat, steps joined and closed by <extra_0>."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    ids = tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False))
    (separator,) = tokenizer.encode("<extra_0>")
    ends = [i for i, token in enumerate(ids) if token == separator]
    middle = _linear(folder, "score.0", _hidden(folder, ids)[ends]).relu()
    return list(_linear(folder, "score.2", middle).softmax(-1)[:, 1].tolist())


def trl(folder: Path, question: str, steps: Sequence[str], separator: str = "\n") -> list[float]:
    """PRMTrainer.tokenize_row: question, steps and separators are encoded apart."""
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    ids = encode(question)
    if tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id, *ids]
    ends = []
    for step in steps:
        ids += encode(step) + encode(separator)
        ends.append(len(ids) - 1)
    return list(_linear(folder, "score", _hidden(folder, ids)[ends]).softmax(-1)[:, 1].tolist())


def trl_blank_line(folder: Path, question: str, steps: Sequence[str]) -> list[float]:
    return trl(folder, question, steps, "\n\n")
