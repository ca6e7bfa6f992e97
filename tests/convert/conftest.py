"""Checkpoints the conversion tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def mistral(tmp_path: Path, tiny: Callable[..., Any]) -> Path:
    """A two-layer Mistral with the reference tokenizer."""
    from transformers import MistralConfig, MistralForCausalLM

    tiny(tmp_path / "mistral", MistralForCausalLM, MistralConfig)
    return tmp_path / "mistral"


@pytest.fixture
def edit() -> Callable[..., None]:
    """`edit(folder, **{"tensor.name": array or None})` replaces or removes tensors."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    def change(folder: Path, **tensors: Any) -> None:
        path = folder / "model.safetensors"
        found = load_file(path) | tensors
        kept = {n: np.ascontiguousarray(t) for n, t in found.items() if t is not None}
        save_file(kept, path, metadata={"format": "pt"})

    return change
