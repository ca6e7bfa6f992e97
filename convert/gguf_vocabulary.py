"""The vocabulary in a GGUF, judged as llama.cpp takes it: it ends the process over a double."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from convert.bounds import VOCAB, shown
from convert.refusal import Refusal

END_IDS = "starbase.tokenizer.end_ids"  # as JSON: llama.cpp tells of no array
PREFIX_ONCE = "starbase.tokenizer.prefix_once"
TOKENS, SCORES = "tokenizer.ggml.tokens", "tokenizer.ggml.scores"


def check_tokens(path: Path, tokens: Any) -> None:
    """Refuse tokens that are not texts, too many, or not all different.

    llama.cpp reads each up to its first zero byte, and names an empty one `[EMPTY_id]`.
    """
    if not isinstance(tokens, list):
        raise Refusal(f"{path} holds {TOKENS} that are no texts; convert the model again")
    if not 1 <= len(tokens) <= VOCAB[1]:
        raise Refusal(f"{path} holds {len(tokens)} tokens; choose a model of 1 to {VOCAB[1]}")
    if len(set(tokens)) == len(tokens) and b"" not in tokens and b"\0" not in b"".join(tokens):
        return
    seen: dict[bytes, int] = {}
    for i, token in enumerate(tokens):
        name = token.split(b"\0", 1)[0] or f"[EMPTY_{i}]".encode()
        if name in seen:
            text = shown(name.decode("utf-8", "replace"))
            raise Refusal(
                f"{path} holds token {text} twice, as {seen[name]} and {i}, and llama.cpp opens "
                "no such vocabulary; convert the model again"
            )
        seen[name] = i


def check_scores(path: Path, scores: Any) -> None:
    """Refuse scores that are no numbers: they order the merges of a tokenizer."""
    if isinstance(scores, list) or np.isnan(scores).any():
        raise Refusal(f"{path} holds {SCORES} that are no numbers; convert the model again")
