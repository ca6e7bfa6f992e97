"""Batched decoding with a KV cache."""

import torch
from transformers import AutoTokenizer, MistralForCausalLM, PreTrainedTokenizerFast

BATCH = 128
MAX_NEW_TOKENS = 200


def load(folder: str) -> tuple[MistralForCausalLM, PreTrainedTokenizerFast]:
    """A model in float32 and its tokenizer, set up for padding on the left."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", pad_token="</s>")
    return MistralForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer


@torch.inference_mode()
def complete(
    model: MistralForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    questions: list[str],
    temperature: float,
) -> list[str]:
    """One solution a question, greedy at temperature 0. Repeat a question for more of them."""
    order = sorted(range(len(questions)), key=lambda i: len(questions[i]))
    solutions = [""] * len(questions)
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0}
        if temperature
        else {"do_sample": False}
    )
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        prompts = tokenizer([questions[i] + "\n" for i in rows], padding=True, return_tensors="pt")
        output = model.generate(
            input_ids=prompts["input_ids"],
            attention_mask=prompts["attention_mask"],
            max_new_tokens=MAX_NEW_TOKENS,
            **sampling,
        )
        texts = tokenizer.batch_decode(
            output[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True
        )
        for row, text in zip(rows, texts, strict=True):
            solutions[row] = text
    return solutions
