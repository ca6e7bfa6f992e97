"""Writing a checkpoint as ONNX: a file of weights, and graphs over it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.artifact import ThoughtProtocol
from convert.checkpoint import Checkpoint
from convert.ends import end_ids
from convert.hf_files import HERE, default_template, opening
from convert.onnx_decoder import decoder
from convert.onnx_graph import Activations, Graph
from convert.onnx_levels import OnnxLevel
from convert.onnx_rotary import positions
from convert.onnx_tensors import write_weights
from convert.onnx_weights import WeightFile
from convert.refusal import Refusal


def write_data(
    checkpoint: Checkpoint,
    thought: ThoughtProtocol | None,
    out: Path,
    level: OnnxLevel,
    progress: Callable[[str], None] = lambda *_: None,
) -> WeightFile:
    """Write the weights of a checkpoint at a level; where each of them lies.

    Raises:
        Refusal: for missing, misshapen or non-finite tensors, or values beyond float16.
    """
    with out.open("wb") as file:
        weights = WeightFile(file)
        write_weights(checkpoint, thought, level, weights, progress)
    return weights


def write_graph(
    checkpoint: Checkpoint,
    out: Path,
    level: OnnxLevel,
    weights: WeightFile,
    *,
    data: str,
    floats: Activations = "float32",
    facts: dict[str, str] | None = None,
) -> None:
    """Write a graph over weights that lie in a file called `data` beside it."""
    graph = Graph(weights.tensors, data, floats)
    own = {"starbase.positions": str(positions(checkpoint))}
    if window := sliding_window(checkpoint):
        own["starbase.window"] = str(window)
    model = decoder(graph, checkpoint, level, own | (facts or {}))
    out.write_bytes(model.SerializeToString())


def sliding_window(checkpoint: Checkpoint) -> int | None:
    """How many tokens back attention reaches, the token itself included; None: all.

    Raises:
        Refusal: for a model that has a window in some of its layers only.
    """
    config = checkpoint.config
    family, kinds = checkpoint.architecture, set(config.get("layer_types") or [])
    if family.startswith("qwen"):
        if config.get("use_sliding_window"):
            raise Refusal(f"use_sliding_window in config.json: not supported for {family} in onnx")
        return None
    window = config.get("sliding_window") if "stral" in family else None
    if window is None or kinds == {"full_attention"}:
        return None
    if "full_attention" in kinds and int(window) < checkpoint.shape.context:
        raise Refusal("sliding_window of some layers in config.json: not supported in onnx")
    return int(window)


def tokenizer_facts(checkpoint: Checkpoint, out: Path) -> dict[str, str]:
    """Write the tokenizer as one `tokenizer.json`; what it does not say itself."""
    from transformers import AutoTokenizer

    with opening(checkpoint.folder):
        tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint.folder, use_fast=True, **HERE)
        document = tokenizer.backend_tokenizer.to_str(pretty=True)
    out.write_text(document, encoding="utf-8")
    facts = {
        "starbase.eos_ids": json.dumps(end_ids(checkpoint.folder, checkpoint.shape.vocab)),
        "starbase.bos": tokenizer.bos_token or "",
        "starbase.eos": tokenizer.eos_token or "",
    }
    if template := default_template(checkpoint.folder, tokenizer.chat_template):
        facts["starbase.chat_template"] = template
    return facts
