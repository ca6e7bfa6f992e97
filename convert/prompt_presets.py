"""How known models are asked, by the name of their repository or by what they lack."""

from __future__ import annotations

import re

from convert.artifact import PromptFormat

ZERO_SHOT = "Q: {question}\nA: Let's think step by step."  # zero-shot chain of thought
SHOTS = 8  # of the examples in Wei et al. 2022
CHAT = "chat"
PRESETS = {
    CHAT: PromptFormat(name=CHAT),
    "zero-shot": PromptFormat(ZERO_SHOT, "\n", name="zero-shot"),
    "few-shot": PromptFormat("Q: {question}\nA:", "\n", name="few-shot", shots=SHOTS),
    "math-shepherd": PromptFormat("{question}", "ки", "The answer is:", name="math-shepherd"),
}
REPOSITORIES = {  # a whole name in lower case: its preset
    r"mistral-7b-sft|math-shepherd-mistral-7b-rl": "math-shepherd",
    r"quietstar-.*|quiet-star-.*": "zero-shot",  # as its evaluation asks it
    r"mistral-7b-v0\.[123]|mistral-nemo-base-\d+|ministral-3-\d+b-base-\d+"
    r"|(meta-)?llama-[23](\.\d)?-\d+b(-hf)?"
    r"|qwen(1\.5|2|2\.5)-(math-|coder-)?[\d.]+b|qwen3-[\d.]+b-base"
    r"|smollm2?-[\d.]+[mb]|tinyllama.*-intermediate-.*": "few-shot",
}
QUANTIZED = re.compile(r"[-._](i?q\d\w*|b?f(16|32)|gguf)$")  # at the end of a file's name
LEAST_CONTEXT = 2048  # tokens that examples and an answer need


def prompt_preset(
    name: str, *, chat: bool, thinks: bool = False, context: int = LEAST_CONTEXT
) -> PromptFormat | None:
    """How a policy is asked that does not say so itself; None where nothing is known to help.

    By its name, else by its chat template if it has one. A base model gets examples, a line a
    step: without them it hardly writes steps that can be told apart.
    """
    plain = name.rpartition("/")[2].rpartition("--")[2].lower()
    while (shorter := QUANTIZED.sub("", plain)) != plain:
        plain = shorter
    for pattern, preset in REPOSITORIES.items():
        if re.fullmatch(pattern, plain):
            return PRESETS[preset]
    if chat:
        return PRESETS[CHAT]
    if context < LEAST_CONTEXT:
        return None
    return PRESETS["zero-shot" if thinks else "few-shot"]
