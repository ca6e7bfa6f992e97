"""Reward and talk heads: they have no place in a GGUF, so they stand beside it as safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from convert.artifact import Artifact, Role
from convert.checkpoint import Checkpoint, read_checkpoint
from convert.files import regular
from convert.protocols import check_outputs
from convert.refusal import Refusal, reading
from convert.thoughts import THOUGHT_TENSORS

Floats = npt.NDArray[np.float32]
SUFFIX = ".heads.safetensors"
REWARD_HEADS = ("score.", "v_head.", "classifier.")


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


def head_tensors(checkpoint: Checkpoint, role: Role) -> dict[str, Floats]:
    """The tensors that stand beside a checkpoint's backbone, in float32.

    Those of a reward head, or a thinker's talk head and thought embeddings; empty for a policy, and
    for a reward model that scores with tokens.

    Raises:
        Refusal: if a weight is not finite, or not a weight of such a head.
    """
    if role == "policy":
        return {}
    beside = THOUGHT_TENSORS if role == "thinker" else REWARD_HEADS
    found = {n: t for n, t in checkpoint.tensors.items() if n.startswith(beside)}
    return {name: tensor.float32() for name, tensor in found.items()}


def write_heads(path: Path, tensors: dict[str, Floats]) -> None:
    """Store head tensors under their own names."""
    from safetensors.numpy import save

    path.write_bytes(save(tensors))  # its own files would be the user's alone


def read_heads(artifact: Artifact) -> Head:
    """The head of a reward model, from beside its GGUF or out of its checkpoint.

    Raises:
        FileNotFoundError: if the file that the manifest names is gone.
        Refusal: if there is no head, or it does not fit the model's hidden size.
    """
    return _read_head(artifact, "reward")


def read_talk_head(artifact: Artifact) -> Head:
    """The talk head of a thinker: (B, 2 D) to (B, 1), the weight of the thought, unbounded.

    Its input is concat(base, thought), hidden states after the final norm.

    Raises:
        FileNotFoundError: if the file that the manifest names is gone.
        Refusal: if there is no head, or it does not fit the model's hidden size.
    """
    return _read_head(artifact, "thinker")


def _read_head(artifact: Artifact, role: Role) -> Head:
    if artifact.format == "torch":
        tensors = head_tensors(read_checkpoint(artifact.path), role)
    else:
        tensors = _read(artifact)
    if not tensors:
        raise Refusal(f"{artifact.path} has no {'talk' if role == 'thinker' else role} head")
    head = make_head(tensors, artifact.shape.hidden, role)
    count = len(head.layers[-1][0])
    if role == "thinker" and count != 1:
        raise Refusal(f"{artifact.path} has a talk head of {count} outputs, expected 1")
    if role == "reward" and artifact.reward is not None:
        check_outputs(artifact.path, artifact.reward, count)
    return head


def make_head(tensors: dict[str, Floats], hidden: int, role: Role) -> Head:
    """The head that the weights and biases among tensors form, first layer first.

    Raises:
        Refusal: if a layer does not fit the one before it.
    """
    layers = []
    width = 2 * hidden if role == "thinker" else hidden  # base and thought
    for name in sorted(name for name in tensors if name.endswith("weight")):
        weight, bias = tensors[name], tensors.get(name.removesuffix("weight") + "bias")
        if weight.ndim != 2 or weight.shape[1] != width or not weight.size:
            raise Refusal(f"tensor {name} has shape {list(weight.shape)}, expected [n, {width}]")
        width = weight.shape[0]
        if bias is not None and bias.shape != (width,):
            raise Refusal(f"the bias of {name} has shape {list(bias.shape)}, expected [{width}]")
        layers.append((weight, bias))
    if not layers:
        raise Refusal(f"no tensor of {', '.join(tensors)} is a weight of a {role} head")
    return Head(tuple(layers))


def _read(artifact: Artifact) -> dict[str, Floats]:
    from safetensors.numpy import load_file

    path = artifact.heads_path
    if path is None:
        raise Refusal(f"{artifact.path} names no heads file; convert the model again")
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; it belongs beside {artifact.path.name}")
    with reading(regular(path)):
        found = load_file(path)
    for name, values in found.items():
        if values.dtype.kind != "f" or not np.isfinite(values).all():
            raise Refusal(f"{path} holds tensor {name} of other than finite floats; convert again")
    return {name: np.require(t, np.float32, ["C", "A"]) for name, t in found.items()}
