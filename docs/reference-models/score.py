"""Step scores of a reward model of Math-Shepherd's form."""

from collections.abc import Sequence

import torch
from problems import TAG
from transformers import MistralForCausalLM, PreTrainedTokenizerFast

BATCH = 64


@torch.inference_mode()
def score_steps(
    model: MistralForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[str],
    solutions: Sequence[str],
) -> list[list[float]]:
    """P(+) against P(-) at every tag of each solution."""
    good, bad, tag = (tokenizer.encode(text)[-1] for text in ("+", "-", TAG))
    texts = [f"{q} {s}" for q, s in zip(questions, solutions, strict=True)]
    scores = []
    for start in range(0, len(texts), BATCH):
        inputs = tokenizer(texts[start : start + BATCH], padding=True, return_tensors="pt")
        ids = inputs["input_ids"]
        logits = model(input_ids=ids, attention_mask=inputs["attention_mask"]).logits
        plus = logits[..., [good, bad]].softmax(-1)[..., 0]
        scores += [row[own == tag].tolist() for row, own in zip(plus, ids, strict=True)]
    return scores
