"""Reward heads: they have no place in a GGUF, so they stand beside it as safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from convert.artifact import Artifact
from convert.checkpoint import Checkpoint, read_checkpoint

Floats = npt.NDArray[np.float32]
SUFFIX = ".heads.safetensors"
PREFIXES = ("score.", "v_head.", "classifier.")


@dataclass(frozen=True, slots=True)
class Head:
    """Linear layers with a ReLU between them, on hidden states after the final norm."""

    layers: tuple[tuple[Floats, Floats | None], ...]  # weight (out, in), bias (out,)

    def __call__(self, hidden: Floats) -> Floats:
        """(B, D) hidden states to (B, outputs)."""
        for depth, (weight, bias) in enumerate(self.layers):
            if depth:
                hidden = np.maximum(hidden, 0)
            hidden = hidden @ weight.T
            if bias is not None:
                hidden = hidden + bias
        return hidden


def head_tensors(checkpoint: Checkpoint) -> dict[str, Floats]:
    """The tensors of a checkpoint's reward head in float32; empty where it scores with tokens.

    Raises:
        ValueError: if a weight has the wrong width or is not finite.
    """
    found = {n: t for n, t in checkpoint.tensors.items() if n.startswith(PREFIXES)}
    return {name: tensor.float32() for name, tensor in found.items()}


def write_heads(path: Path, tensors: dict[str, Floats]) -> None:
    """Store head tensors under their own names."""
    from safetensors.numpy import save_file

    save_file(tensors, path)


def read_heads(artifact: Artifact) -> Head:
    """The head of a reward model, from beside its GGUF or out of its checkpoint.

    Raises:
        FileNotFoundError: if the file that the manifest names is gone.
        ValueError: if there is no head, or it does not fit the model's hidden size.
    """
    if artifact.format == "torch":
        tensors = head_tensors(read_checkpoint(artifact.path, "reward"))
    else:
        tensors = _read(artifact)
    if not tensors:
        raise ValueError(f"{artifact.path} has no reward head")
    return make_head(tensors, artifact.shape.hidden)


def make_head(tensors: dict[str, Floats], hidden: int) -> Head:
    """The head that tensors form, first layer first.

    Raises:
        ValueError: if a layer does not fit the one before it.
    """
    layers = []
    width = hidden
    for name in sorted(name for name in tensors if name.endswith("weight")):
        weight, bias = tensors[name], tensors.get(name.removesuffix("weight") + "bias")
        if weight.ndim != 2 or weight.shape[1] != width:
            raise ValueError(f"tensor {name} has shape {list(weight.shape)}, expected [n, {width}]")
        layers.append((weight, bias))
        width = weight.shape[0]
    return Head(tuple(layers))


def _read(artifact: Artifact) -> dict[str, Floats]:
    from safetensors.numpy import load_file

    path = artifact.heads_path
    if path is None:
        raise ValueError(f"{artifact.path} names no heads file; convert the reward model again")
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; it belongs beside {artifact.path.name}")
    return {name: np.asarray(tensor) for name, tensor in load_file(path).items()}
